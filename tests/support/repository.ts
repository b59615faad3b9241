/**
 * Where things lie in the repository, for programs that run both from the source and from build/.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

function findRoot(): string {
  let folder = path.dirname(fileURLToPath(import.meta.url));
  while (!existsSync(path.join(folder, 'package-lock.json'))) {
    const parent = path.dirname(folder);
    if (parent === folder)
      throw new Error('Cannot find the repository: no package-lock.json above this file');
    folder = parent;
  }
  return folder;
}

/** The repository's root folder. */
export const REPOSITORY: string = findRoot();

/**
 * An absolute path of something in the repository.
 *
 * @param parts path components below the root
 */
export function inRepository(...parts: string[]): string {
  return path.join(REPOSITORY, ...parts);
}
