/** The errors of provider files: each names the file, and says what is wrong with it. */
import { ErrnoError, type ErrnoName, isErrnoName } from '@usertrace/base';

/**
 * The error for a file that is not as a provider file has to be.
 *
 * @param why as in `Cannot read provider file PATH: <why>`
 */
export function refusal(code: ErrnoName, path: string, why: string): ErrnoError {
  return new ErrnoError(code, `Cannot read provider file ${path}: ${why}`);
}

/**
 * The error for a file with which the system could not do something.
 *
 * @param error Node's
 * @param doing as in `Cannot <doing> provider file PATH`
 */
export function fileError(error: unknown, doing: string, path: string): ErrnoError {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const known = isErrnoName(code) ? code : 'EIO';
  return new ErrnoError(known, `Cannot ${doing} provider file ${path}: ${(error as Error).message}`);
}
