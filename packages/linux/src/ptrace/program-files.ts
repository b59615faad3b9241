/** Where execvp(3) would look for a program. */
import { accessSync, constants } from 'node:fs';
import path from 'node:path';

const USUAL_FOLDERS = '/usr/local/bin:/usr/bin:/bin';

/**
 * The files that a command may mean, in the order in which they are to be tried.
 *
 * @param command a path, which is taken as it is, or a name
 * @param folders as PATH has them, an empty one is the current folder; the usual ones if undefined
 */
export function programFiles(command: string, folders: string = USUAL_FOLDERS): string[] {
  if (command.includes('/')) return [command];
  return folders
    .split(':')
    .map((folder) => path.join(folder === '' ? '.' : folder, command))
    .filter((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
