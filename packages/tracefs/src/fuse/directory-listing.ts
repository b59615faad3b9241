/**
 * One open directory: what it contained when its listing was begun, handed out in pieces.
 *
 * Position 0 takes a new look, as rewinddir(3) does. A name that no directory can hold ends the listing with EIO
 * after everything before it, which is what the kernel's own directory reading does.
 */

import { DIRECTORY_ENTRY_TYPE, putDirectoryEntry } from '@usertrace/abi';
import type { DirectoryNode, TreeNode } from '../node.ts';

/** Children get their inode numbers when they are looked up; until then a listing shows this one. */
const UNKNOWN_INODE = 0xffff_ffff;

export class DirectoryListing {
  readonly #directory: DirectoryNode;
  readonly #inode: (node: TreeNode) => number;
  #entries: { name: string; kind: TreeNode['kind'] }[] = [];

  constructor(directory: DirectoryNode, inode: (node: TreeNode) => number) {
    this.#directory = directory;
    this.#inode = inode;
  }

  /**
   * Encodes as many entries from `position` as fit.
   *
   * @param size room in bytes
   * @returns directory entries, none at the end, or EIO at a name that cannot be
   */
  read(position: number, size: number): Uint8Array | 'EIO' {
    if (position === 0) this.#entries = this.#present();
    const bytes = new Uint8Array(size);
    let used = 0;
    for (let index = position; index < this.#entries.length; index++) {
      const entry = this.#entries[index];
      if (entry === undefined) break;
      if (entry.name === '' || entry.name.includes('/')) {
        if (used === 0) return 'EIO';
        break;
      }
      const inode = index === 0 ? this.#inode(this.#directory) : UNKNOWN_INODE;
      const type = DIRECTORY_ENTRY_TYPE[entry.kind];
      const entryBytes = putDirectoryEntry(bytes, used, inode, index + 1, type, entry.name);
      if (entryBytes === 0) break;
      used += entryBytes;
    }
    return bytes.subarray(0, used);
  }

  #present(): { name: string; kind: TreeNode['kind'] }[] {
    return [
      { name: '.', kind: 'directory' },
      { name: '..', kind: 'directory' },
      ...this.#directory.entries(),
    ];
  }
}
