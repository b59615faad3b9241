/**
 * What a command ends with when it cannot do its work: one sentence for the user, and an exit code.
 *
 * Commands throw `Failure`; only main.ts prints it. Anything else that is thrown is a bug, except errors with a
 * `code` (system calls, ErrnoError), whose message already says what was refused.
 */

/** Exit codes of every command but `run`, which ends with its command's own. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  notExecutable: 126,
  notFound: 127,
  signalBase: 128,
} as const;

/** An expected failure, to be printed as `usertrace: MESSAGE`. */
export class Failure extends Error {
  readonly exitCode: number;

  /**
   * @param message what is wrong and what to do about it, without a final period
   * @param exitCode what the process ends with
   */
  constructor(message: string, exitCode: number = EXIT.failure) {
    super(message);
    this.name = 'Failure';
    this.exitCode = exitCode;
  }
}

/** The symbolic error code that an error carries, such as `ENOENT`, or undefined. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Errors of other packages that say all a user needs, by name: importing their classes would load the packages. */
const SELF_EXPLAINING = new Set(['Failure', 'UnsupportedSystemError']);

/**
 * What to print for an error, without the `usertrace: ` before it. A bug shows its stack, so that it can be
 * reported.
 */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const isExpected = SELF_EXPLAINING.has(error.name) || errorCode(error) !== undefined;
  return isExpected ? error.message : (error.stack ?? error.message);
}
