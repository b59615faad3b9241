/**
 * The kernel's error codes by name, and the one error class that carries one.
 *
 * A table of the codes that this project's interfaces answer with; the numbers are x86-64's and arm64's
 * (asm-generic/errno-base.h, asm-generic/errno.h).
 */

/** Error numbers by their symbolic name, as in errno(3). */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EPIPE: 32,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ENODATA: 61,
  EPROTO: 71,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  ECONNABORTED: 103,
  ENOBUFS: 105,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EALREADY: 114,
  EINPROGRESS: 115,
} as const;

/** The symbolic name of an error number, such as `EINVAL`. */
export type ErrnoName = keyof typeof ERRNO;

const NAME_BY_NUMBER = new Map<number, ErrnoName>(
  (Object.entries(ERRNO) as [ErrnoName, number][]).map(([name, number]) => [number, name]),
);

/**
 * The symbolic name of an error number.
 *
 * @param number a positive error number
 * @returns the name, or `E<number>` for one this table does not hold
 */
export function errnoName(number: number): ErrnoName | `E${number}` {
  return NAME_BY_NUMBER.get(number) ?? `E${number}`;
}

/** Whether a text is a symbolic name that this table holds, such as `EINVAL`. */
export function isErrnoName(text: string): text is ErrnoName {
  return Object.hasOwn(ERRNO, text);
}

/** An expected failure that has a kernel error code: what a system call would have answered. */
export class ErrnoError extends Error {
  /** The symbolic name, such as `EINVAL`. */
  readonly code: ErrnoName;

  /**
   * @param code the symbolic name of the error
   * @param message what was being done and what is wrong with it, in one sentence
   */
  constructor(code: ErrnoName, message: string) {
    super(`${message} (${code})`);
    this.name = 'ErrnoError';
    this.code = code;
  }

  /** The positive error number. */
  get errno(): number {
    return ERRNO[this.code];
  }
}
