/** Why a file of events could not be written, as a sentence for the user. */

import { errorCode, Failure } from '../failure.ts';

/**
 * What to throw for an error of writing a file.
 *
 * @param error what was caught
 * @param path the file
 * @returns a Failure that names the file, or the error itself when it is none of writing
 */
export function outputFailure(error: unknown, path: string): unknown {
  const code = errorCode(error);
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new Failure(
        `cannot write ${path}: the disk is full (${code}); what was written before is in it`,
      );
    case 'EINVAL':
      return new Failure(`cannot write ${path}: it is not a regular file; name another file with -o`);
    case 'EBUSY':
      return new Failure(
        `cannot write ${path}: another program is recording into it; name another file with -o`,
      );
    case 'EACCES':
    case 'EEXIST':
    case 'EISDIR':
    case 'ELOOP':
    case 'ENAMETOOLONG':
    case 'ENOENT':
    case 'ENOTDIR':
    case 'EPERM':
    case 'EROFS':
    case 'ETXTBSY':
      return new Failure(`cannot write ${path}: ${code}; name another place with -o`);
    default:
      return error;
  }
}
