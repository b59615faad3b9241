/**
 * The door to the system: libc's functions (libc-functions.ts) as koffi calls them, and addresses of memory.
 *
 * `libc()` loads koffi and declares the whole table at its first call (about 7 ms, of which 5 ms are koffi's own
 * shared object and 0.3 ms the declarations); importing this file costs nothing. After that nothing here changes.
 *
 * The functions answer as C does: -1 and errno. `failure()` and `checked()` turn that into this project's values
 * and errors; call them directly after the function, before anything else can touch errno. For the calls of the
 * hot path, descriptor.ts has versions that answer the negative error number and never throw.
 *
 * What a call costs (Node 20, koffi 3.3.4, the system call itself included, write(2) of 16 bytes to /dev/null):
 * memory as an address 240 ns, as a `Buffer` 255-265 ns, as a fresh `subarray` 285 ns; getppid() 170 ns. So a hot
 * caller takes the address of a buffer once (`addressOf`) and keeps the buffer alive.
 */
import { createRequire } from 'node:module';
import { ErrnoError, errnoName, isErrnoName } from '@usertrace/base';
import { type Libc, PROTOTYPES } from './libc-functions.ts';

/**
 * Numbers of the system calls that are made by number (x86-64): by `syscall()`, where the C library has no function everywhere, and in
 * other processes. abi's table of all has the same, but programs with tracepoints would carry it for these few.
 */
export const SYSTEM_CALL = {
  mmap: 9,
  rt_sigprocmask: 14,
  execve: 59,
  chdir: 80,
  getppid: 110,
  prctl: 157,
  gettid: 186,
  futex: 202,
  timer_create: 222,
  timer_settime: 223,
  timer_delete: 226,
  waitid: 247,
  process_vm_readv: 310,
  kcmp: 312,
  seccomp: 317,
  pidfd_send_signal: 424,
  pidfd_open: 434,
  close_range: 436,
} as const;

/** Thrown when this program cannot reach the operating system's functions at all. */
export class UnsupportedSystemError extends Error {
  override readonly name: string = 'UnsupportedSystemError';
}

interface Koffi {
  load(path: null): { func(prototype: string): (...args: unknown[]) => unknown };
  errno(): number;
  address(memory: NodeJS.TypedArray): bigint;
  view(address: bigint, size: number): ArrayBuffer;
  proto(prototype: string): unknown;
  call(address: bigint, prototype: unknown, argument: bigint): number;
  node: { env: unknown };
}

interface Door {
  readonly koffi: Koffi;
  readonly table: Libc;
}

let door: Door | undefined;

function openDoor(): Door {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new UnsupportedSystemError(
      `usertrace needs Linux on x86-64, and this is ${process.platform} on ${process.arch}`,
    );
  let koffi: Koffi;
  try {
    koffi = createRequire(import.meta.url)('koffi') as Koffi;
  } catch (cause) {
    throw new UnsupportedSystemError(
      'Cannot load koffi, which calls the C library: run npm ci for this machine and this Node again',
      { cause },
    );
  }
  const library = koffi.load(null);
  const table: Record<string, unknown> = {};
  for (const [name, prototype] of Object.entries(PROTOTYPES)) table[name] = library.func(prototype);
  return { koffi, table: table as unknown as Libc };
}

/**
 * The C library.
 *
 * @throws {UnsupportedSystemError} when this is not Linux on x86-64, or koffi cannot be loaded
 */
export function libc(): Libc {
  door ??= openDoor();
  return door.table;
}

/**
 * errno(3) as the call before left it.
 *
 * @returns the positive error number
 */
export function lastErrno(): number {
  door ??= openDoor();
  return door.koffi.errno();
}

/**
 * The result of a call, or its error.
 *
 * @param result what the call answered
 * @returns `result` if it is not negative, otherwise the negative error number
 */
export function failure(result: number): number {
  return result < 0 ? -lastErrno() : result;
}

/**
 * The result of a call that should not fail.
 *
 * @param result what the call answered
 * @param doing what was being done, as in `Cannot <doing>`
 * @returns `result`
 * @throws {ErrnoError} when the call failed
 */
export function checked(result: number, doing: string): number {
  if (result < 0) throw systemCallError(lastErrno(), doing);
  return result;
}

/**
 * The error of a call that failed. A number that base's table has no name for is given as EIO, its number in the
 * message.
 *
 * @param errno the positive error number
 * @param doing what was being done, as in `Cannot <doing>`
 */
export function systemCallError(errno: number, doing: string): ErrnoError {
  const name = errnoName(errno);
  return isErrnoName(name)
    ? new ErrnoError(name, `Cannot ${doing}`)
    : new ErrnoError('EIO', `Cannot ${doing}: error number ${errno}`);
}

/**
 * The address of memory of ours. It stays valid while the buffer is reachable: typed arrays made by
 * `Buffer.alloc`, `new ArrayBuffer` of 64 bytes or more, and mapped memory do not move.
 *
 * @param memory whose first byte's address is wanted
 */
export function addressOf(memory: NodeJS.TypedArray): number {
  door ??= openDoor();
  return Number(door.koffi.address(memory));
}

/**
 * Memory at an address, without a copy. The caller answers for its being mapped while the result is reachable, and
 * makes one view of an address only.
 *
 * @param address of the first byte
 * @param size in bytes
 */
export function viewOf(address: number, size: number): ArrayBuffer {
  door ??= openDoor();
  return door.koffi.view(BigInt(address), size);
}

/**
 * Machine code at an address as a function that takes a pointer and answers an int.
 *
 * @param address of its first byte; it has to be executable, and stay
 */
export function functionAt(address: number): (argument: number) => number {
  door ??= openDoor();
  const { koffi } = door;
  const prototype = koffi.proto('int (void *)');
  return (argument) => koffi.call(BigInt(address), prototype, BigInt(argument));
}

/** This thread's N-API environment, which `napi_get_uv_event_loop` wants. */
export function nodeEnvironment(): unknown {
  door ??= openDoor();
  return door.koffi.node.env;
}
