/**
 * Which node id the kernel knows each node by, and who owns it.
 *
 * The table holds a node from the first LOOKUP that answers its id until the kernel forgets it as often as it
 * was looked up; the root (id 1) stays. A file without a position (`stream`, `pipe`) gets a new id with every LOOKUP:
 * the kernel serialises writes to one id under a lock, so with a shared one a writer whose buffer cannot be paged in
 * would stop every other program. Its inode number in stat(2) stays the same.
 */

import { assert } from '@usertrace/base';
import type { DirectoryNode, TreeNode } from '../node.ts';

/** What chmod(2) and chown(2) set on a node, in place of what the tree says. */
export interface Ownership {
  mode?: number;
  uid?: number;
  gid?: number;
}

interface KnownNode {
  readonly node: TreeNode;
  readonly inode: number;
  /** How many LOOKUP replies the kernel has not forgotten. */
  lookups: number;
}

/**
 * Beyond so many nodes, files without a position share ids too. There are more of them than may be open only when
 * somebody holds them without opening (O_PATH).
 */
const MAX_IDS = 262_144;

/** The root's id, given by the protocol. */
export const ROOT_NODE_ID = 1;

export class NodeTable {
  readonly #known = new Map<number, KnownNode>();
  readonly #idByNode = new Map<TreeNode, number>();
  readonly #inodeByNode = new WeakMap<TreeNode, number>();
  readonly #ownershipByNode = new WeakMap<TreeNode, Ownership>();
  #unusedId = ROOT_NODE_ID + 1;

  constructor(root: DirectoryNode) {
    this.#known.set(ROOT_NODE_ID, { node: root, inode: ROOT_NODE_ID, lookups: 1 });
    this.#idByNode.set(root, ROOT_NODE_ID);
    this.#inodeByNode.set(root, ROOT_NODE_ID);
  }

  /** How many nodes the kernel knows. */
  get size(): number {
    return this.#known.size;
  }

  /** The node of that id, or undefined when the kernel names one it was never given. */
  node(id: number): TreeNode | undefined {
    return this.#known.get(id)?.node;
  }

  /** The number stat(2) shows for a node: the same for as long as the node exists. */
  inode(node: TreeNode): number {
    let inode = this.#inodeByNode.get(node);
    if (inode === undefined) {
      inode = this.#unusedId++;
      this.#inodeByNode.set(node, inode);
    }
    return inode;
  }

  /** Counts one LOOKUP of a node and gives the id it is answered with. */
  lookUp(node: TreeNode): number {
    const shared = node.kind === 'directory' || node.access === 'text' || this.#known.size >= MAX_IDS;
    const knownId = shared ? this.#idByNode.get(node) : undefined;
    if (knownId !== undefined) {
      const known = this.#known.get(knownId);
      assert(known !== undefined, 'an id by node is always known');
      known.lookups++;
      return knownId;
    }
    const inode = this.inode(node);
    const id = this.#unusedId++;
    this.#known.set(id, { node, inode, lookups: 1 });
    if (shared) this.#idByNode.set(node, id);
    return id;
  }

  /** The kernel forgot `lookups` LOOKUPs of that id. An id it was never given is ignored. */
  forget(id: number, lookups: number): void {
    if (id === ROOT_NODE_ID) return;
    const known = this.#known.get(id);
    if (known === undefined) return;
    known.lookups -= lookups;
    if (known.lookups > 0) return;
    this.#known.delete(id);
    if (this.#idByNode.get(known.node) === id) this.#idByNode.delete(known.node);
  }

  /** What chmod(2) and chown(2) set on the node so far. */
  ownership(node: TreeNode): Ownership {
    return this.#ownershipByNode.get(node) ?? {};
  }

  setOwnership(node: TreeNode, ownership: Ownership): void {
    node.keep?.();
    this.#ownershipByNode.set(node, { ...this.ownership(node), ...ownership });
  }
}
