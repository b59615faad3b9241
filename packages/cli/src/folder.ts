/** Making folders. */

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { errorCode } from './failure.ts';

/**
 * Makes a folder, and those above it that are missing. Not mkdir's `recursive`: where a file system refuses with ENOENT,
 * as procfs does, Node 20 tries again for ever.
 *
 * @param path of the folder; what has that name already is left as it is
 * @param mode permission bits of those that are made, less the umask; 0777 unless told otherwise
 * @throws {Error} Node's, when one cannot be made
 */
export function makeFolder(path: string, mode?: number): void {
  try {
    mkdirSync(path, mode);
  } catch (error) {
    switch (errorCode(error)) {
      case 'EEXIST':
        return;
      case 'ENOENT':
        if (dirname(path) === path) throw error;
        makeFolder(dirname(path), mode);
        makeInExisting(path, mode);
        return;
      default:
        throw error;
    }
  }
}

function makeInExisting(path: string, mode: number | undefined): void {
  try {
    mkdirSync(path, mode);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}
