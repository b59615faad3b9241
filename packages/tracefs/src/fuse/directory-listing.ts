/**
 * One open directory: what it contained when its listing was begun, handed out in pieces.
 *
 * Position 0 takes a new look, as rewinddir(3) does. A name that no directory can hold ends the listing with EIO
 * after everything before it, which is what the kernel's own directory reading does.
 */

import { DIRECTORY_ENTRY_TYPE, putDirectoryEntry } from '@usertrace/abi';
import type { Uid } from '@usertrace/base';
import type { DirectoryNode, TreeNode } from '../node.ts';
import type { UserShares } from '../user-shares.ts';

/** Children get their inode numbers when they are looked up; until then a listing shows this one. */
const UNKNOWN_INODE = 0xffff_ffff;

export class DirectoryListing {
  readonly #directory: DirectoryNode;
  readonly #uid: Uid;
  readonly #shares: UserShares;
  readonly #inode: (node: TreeNode) => number;
  #entries: { name: string; kind: TreeNode['kind'] }[] = [];

  /**
   * @param uid whose it is: one of the shares is taken for it
   * @param shares where a name is counted for each that it holds
   * @param inode an inode number
   */
  constructor(directory: DirectoryNode, uid: Uid, shares: UserShares, inode: (node: TreeNode) => number) {
    this.#directory = directory;
    this.#uid = uid;
    this.#shares = shares;
    this.#inode = inode;
  }

  /**
   * Encodes as many entries from `position` as fit.
   *
   * @param size room in bytes
   * @returns directory entries, none at the end; EIO at a name that cannot be, ENOMEM when its user holds too many
   */
  read(position: number, size: number): Uint8Array | 'EIO' | 'ENOMEM' {
    if (position === 0 && !this.#look()) return 'ENOMEM';
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

  /** The directory was closed: gives back what it took of the shares. */
  release(): void {
    this.#shares.giveBack(this.#uid, 1 + this.#entries.length);
    this.#entries = [];
  }

  /** Takes what the directory contains now; not when its user has no share left for it. */
  #look(): boolean {
    this.#shares.giveBack(this.#uid, this.#entries.length);
    this.#entries = [];
    const present = this.#present();
    if (!this.#shares.take(this.#uid, present.length)) return false;
    this.#entries = present;
    return true;
  }

  #present(): { name: string; kind: TreeNode['kind'] }[] {
    return [
      { name: '.', kind: 'directory' },
      { name: '..', kind: 'directory' },
      ...this.#directory.entries(),
    ];
  }
}
