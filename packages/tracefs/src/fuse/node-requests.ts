/**
 * Requests on the tree itself: finding nodes, their attributes, directories. Holds the open directories by their
 * handles, from OPENDIR until RELEASEDIR.
 */

import {
  encodeAttributesOut,
  encodeEntryOut,
  encodeOpenOut,
  FUSE_SET_ATTRIBUTE,
  FUSE_SIZE,
  type FuseAttributes,
} from '@usertrace/abi';
import { Uid } from '@usertrace/base';
import type { DirectoryNode, TreeNode } from '../node.ts';
import { UserShares } from '../user-shares.ts';
import { DirectoryListing } from './directory-listing.ts';
import { type Exchange, MAX_TRANSFER_BYTES } from './exchange.ts';
import { type NodeTable, ROOT_NODE_ID } from './node-table.ts';

/**
 * Open directories of one mount and the names that their listings hold, about 40 bytes each, shared by its users. Who
 * has no share left gets ENFILE for opening one and ENOMEM for listing it.
 */
const MAX_LISTED = 4_194_304;

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFMT = 0o170000;

/** Who owns the tree's nodes unless chown(2) says otherwise. */
export interface TreeOwner {
  readonly uid: number;
  readonly gid: number;
  /** The permission bits of the root directory. */
  readonly rootMode: number;
}

export class NodeRequests {
  readonly #exchange: Exchange;
  readonly #nodes: NodeTable;
  readonly #owner: TreeOwner;
  readonly #madeAtS: number = Math.floor(Date.now() / 1000);
  readonly #openDirectories = new Map<number, DirectoryListing>();
  readonly #shares: UserShares;
  #unusedHandle = 1;

  /**
   * @param exchange has the requests, and takes the answers
   * @param nodes what the kernel knows of the tree
   * @param owner whose the nodes are
   */
  constructor(exchange: Exchange, nodes: NodeTable, owner: TreeOwner) {
    this.#exchange = exchange;
    this.#nodes = nodes;
    this.#owner = owner;
    this.#shares = new UserShares(MAX_LISTED, Uid(owner.uid));
  }

  /** Lets go of every open directory. */
  close(): void {
    for (const listing of this.#openDirectories.values()) listing.release();
    this.#openDirectories.clear();
  }

  lookUp(): void {
    const directory = this.#directory();
    const name = this.#exchange.request.name(0);
    if (directory === undefined || name === undefined) return this.#exchange.fail('EIO');
    const node = directory.child(name);
    if (node === undefined) return this.#exchange.fail('ENOENT');
    this.#exchange.answer(encodeEntryOut(this.#nodes.lookUp(node), this.#attributes(node)));
  }

  getAttributes(): void {
    const node = this.#nodes.node(this.#exchange.request.nodeId);
    if (node === undefined) return this.#exchange.fail('ENOENT');
    this.#exchange.answer(encodeAttributesOut(this.#attributes(node)));
  }

  setAttributes(): void {
    const { request } = this.#exchange;
    const node = this.#nodes.node(request.nodeId);
    if (node === undefined || request.bodyLength < FUSE_SIZE.setAttributesIn)
      return this.#exchange.fail('EIO');
    const valid = request.u32(0);
    if ((valid & FUSE_SET_ATTRIBUTE.MODE) !== 0) {
      this.#nodes.setOwnership(node, { mode: request.u32(68) & 0o777 });
    }
    if ((valid & FUSE_SET_ATTRIBUTE.UID) !== 0) this.#nodes.setOwnership(node, { uid: request.u32(76) });
    if ((valid & FUSE_SET_ATTRIBUTE.GID) !== 0) this.#nodes.setOwnership(node, { gid: request.u32(80) });
    if ((valid & FUSE_SET_ATTRIBUTE.SIZE) !== 0 && node.kind === 'file') node.truncate?.();
    this.#exchange.answer(encodeAttributesOut(this.#attributes(node)));
  }

  openDirectory(): void {
    const directory = this.#directory();
    if (directory === undefined) return this.#exchange.fail('ENOTDIR');
    const { uid } = this.#exchange.caller();
    if (!this.#shares.take(uid)) return this.#exchange.fail('ENFILE');
    const handle = this.#unusedHandle++;
    const listing = new DirectoryListing(directory, uid, this.#shares, (node) => this.#nodes.inode(node));
    this.#openDirectories.set(handle, listing);
    this.#exchange.answer(encodeOpenOut(handle, 0));
  }

  readDirectory(): void {
    const { request } = this.#exchange;
    if (request.bodyLength < FUSE_SIZE.readIn) return this.#exchange.fail('EIO');
    const listing = this.#openDirectories.get(request.u64(0));
    if (listing === undefined) return this.#exchange.fail('EIO');
    const entries = listing.read(request.u64(8), Math.min(request.u32(16), MAX_TRANSFER_BYTES));
    if (typeof entries === 'string') this.#exchange.fail(entries);
    else this.#exchange.answer(entries);
  }

  releaseDirectory(): void {
    if (this.#exchange.request.bodyLength >= FUSE_SIZE.releaseIn) {
      const handle = this.#exchange.request.u64(0);
      this.#openDirectories.get(handle)?.release();
      this.#openDirectories.delete(handle);
    }
    this.#exchange.answer(new Uint8Array(0));
  }

  /** Files come and go by themselves: what a tracefs says to creat(2), and to mknod(2) of a regular file. */
  createFile(): void {
    this.#exchange.fail('EACCES');
  }

  /** See `createFile`; other kinds of nodes are not to be had, which is EPERM. */
  makeNode(): void {
    const { request } = this.#exchange;
    if (request.bodyLength < FUSE_SIZE.makeNodeIn) return this.#exchange.fail('EIO');
    const type = request.u32(0) & S_IFMT;
    this.#exchange.fail(type === S_IFREG || type === 0 ? 'EACCES' : 'EPERM');
  }

  makeDirectory(): void {
    const { request } = this.#exchange;
    const directory = this.#directory();
    const name =
      request.bodyLength > FUSE_SIZE.makeDirectoryIn ? request.name(FUSE_SIZE.makeDirectoryIn) : undefined;
    if (directory === undefined || name === undefined) return this.#exchange.fail('EIO');
    const outcome = directory.makeDirectory?.(name) ?? 'EPERM';
    if (outcome !== 'made') return this.#exchange.fail(outcome);
    const node = directory.child(name);
    if (node === undefined) return this.#exchange.fail('EIO');
    this.#exchange.answer(encodeEntryOut(this.#nodes.lookUp(node), this.#attributes(node)));
  }

  removeDirectory(): void {
    const directory = this.#directory();
    const name = this.#exchange.request.name(0);
    if (directory === undefined || name === undefined) return this.#exchange.fail('EIO');
    const outcome = directory.removeDirectory?.(name) ?? 'EPERM';
    if (outcome !== 'removed') return this.#exchange.fail(outcome);
    this.#exchange.answer(new Uint8Array(0));
  }

  batchForget(): void {
    const { request } = this.#exchange;
    if (request.bodyLength < FUSE_SIZE.batchForgetIn) return;
    const room = Math.floor((request.bodyLength - FUSE_SIZE.batchForgetIn) / FUSE_SIZE.forgetOne);
    const count = Math.min(request.u32(0), room);
    for (let index = 0; index < count; index++) {
      const offset = FUSE_SIZE.batchForgetIn + index * FUSE_SIZE.forgetOne;
      this.#nodes.forget(request.u64(offset), request.u64(offset + 8));
    }
  }

  forget(): void {
    const { request } = this.#exchange;
    if (request.bodyLength >= FUSE_SIZE.forgetIn) this.#nodes.forget(request.nodeId, request.u64(0));
  }

  #attributes(node: TreeNode): FuseAttributes {
    const isRoot = node === this.#nodes.node(ROOT_NODE_ID);
    const { mode, uid, gid } = this.#nodes.ownership(node);
    const isDirectory = node.kind === 'directory';
    const permissions = mode ?? (isRoot ? this.#owner.rootMode : node.mode);
    return {
      inode: this.#nodes.inode(node),
      mode: (isDirectory ? S_IFDIR : S_IFREG) | permissions,
      // Of a directory it says "not counted": with 2, find(1) would take it for one without directories inside.
      hardLinks: 1,
      uid: uid ?? this.#owner.uid,
      gid: gid ?? this.#owner.gid,
      timeS: this.#madeAtS,
    };
  }

  #directory(): DirectoryNode | undefined {
    const node = this.#nodes.node(this.#exchange.request.nodeId);
    return node?.kind === 'directory' ? node : undefined;
  }
}
