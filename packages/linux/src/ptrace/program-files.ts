/** Where execvp(3) would look for a program. Names of files are bytes: a folder need not be UTF-8. */
import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { bytesOf, type ProgramText } from './program-text.ts';

const USUAL_FOLDERS = '/usr/local/bin:/usr/bin:/bin';

/**
 * The files that a command may mean, in the order in which they are to be tried.
 *
 * @param command a path, which is taken as it is, or a name
 * @param folders as PATH has them, an empty one is the current folder; the usual ones if undefined
 */
export function programFiles(command: ProgramText, folders: ProgramText = USUAL_FOLDERS): Buffer[] {
  // One character a byte, so that they can be split and joined.
  const name = bytesOf(command).toString('latin1');
  if (name.includes('/')) return [bytesOf(command)];
  return bytesOf(folders)
    .toString('latin1')
    .split(':')
    .map((folder) => Buffer.from(path.join(folder === '' ? '.' : folder, name), 'latin1'))
    .filter((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
