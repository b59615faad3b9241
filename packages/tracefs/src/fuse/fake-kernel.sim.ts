/**
 * The other side of a FUSE connection, for tests: writes requests as the kernel does and reads the replies.
 */

import { FUSE_OPCODE, FUSE_SIZE } from '@usertrace/abi';
import { errnoName } from '@usertrace/base';
import type { DirectoryNode, FileNode, OpenFile, TreeNode } from '../node.ts';
import { REPLY_BUFFER_BYTES, REQUEST_BUFFER_BYTES } from './exchange.ts';
import { FuseSession } from './session.ts';

/** One reply message, taken apart. */
export interface FakeKernelReply {
  /** `ok`, or the name of the error. */
  readonly outcome: string;
  readonly body: Uint8Array;
  readonly view: DataView;
}

/** A body made of numbers: `[width in bytes, value]`, in order. */
export type BodyFields = readonly (readonly [1 | 2 | 4 | 8, number | bigint])[];

export function body(fields: BodyFields, tail: Uint8Array = new Uint8Array(0)): Uint8Array {
  const length = fields.reduce((sum, [width]) => sum + width, 0);
  const bytes = new Uint8Array(length + tail.length);
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const [width, value] of fields) {
    if (width === 8) view.setBigUint64(offset, BigInt(value), true);
    else if (width === 4) view.setUint32(offset, Number(value), true);
    else if (width === 2) view.setUint16(offset, Number(value), true);
    else view.setUint8(offset, Number(value));
    offset += width;
  }
  bytes.set(tail, length);
  return bytes;
}

/** A name as it stands in a request: its bytes and a zero. */
export function nameBytes(name: string): Uint8Array {
  return Buffer.from(`${name}\0`, 'latin1');
}

/** A directory of nodes; its listing shows `names`. */
export function fakeDirectory(
  children: Record<string, TreeNode>,
  names = Object.keys(children),
): DirectoryNode {
  return {
    kind: 'directory',
    mode: 0o750,
    child: (name) => children[name],
    *entries() {
      for (const name of names) yield { name, kind: children[name]?.kind ?? 'directory' };
    },
  };
}

/** A file that opens as the given open file. */
export function fakeFile(open: OpenFile, access: FileNode['access'] = 'text'): FileNode {
  return { kind: 'file', mode: 0o640, access, open: () => open };
}

/** The body of an OPEN or OPENDIR for reading. */
export const OPEN_READ_ONLY: Uint8Array = body([
  [4, 0],
  [4, 0],
]);

export class FakeKernel {
  readonly session: FuseSession;
  readonly #requestBuffer: Uint8Array<ArrayBuffer> = new Uint8Array(REQUEST_BUFFER_BYTES);
  readonly #replyBuffer: Uint8Array<ArrayBuffer> = new Uint8Array(REPLY_BUFFER_BYTES);
  readonly #replies = new Map<number, FakeKernelReply>();
  readonly notifications: DataView[] = [];
  #unique = 2;

  constructor(root: DirectoryNode) {
    const owner = { uid: 1000, gid: 1000, rootMode: 0o755 };
    this.session = new FuseSession(root, owner, {
      requestBuffer: this.#requestBuffer,
      replyBuffer: this.#replyBuffer,
      beforeRequest() {},
      send: (length) => this.#receive(this.#replyBuffer.slice(0, length)),
    });
    this.request(
      FUSE_OPCODE.INIT,
      0,
      body([
        [4, 7],
        [4, 45],
        [4, 0],
        [4, 0],
      ]),
    );
  }

  /** Sends a request; the number it went under finds its reply. */
  send(opcode: number, nodeId: number, content: Uint8Array, caller = { tid: 10, uid: 1000 }): number {
    const unique = this.#unique;
    this.#unique += 2;
    const header = body([
      [4, FUSE_SIZE.requestHeader + content.length],
      [4, opcode],
      [8, unique],
      [8, nodeId],
      [4, caller.uid],
      [4, caller.uid],
      [4, caller.tid],
      [4, 0],
    ]);
    this.#requestBuffer.set(header);
    this.#requestBuffer.set(content, header.length);
    this.session.serve(header.length + content.length);
    return unique;
  }

  /** The reply to a request, or undefined while it waits. */
  reply(unique: number): FakeKernelReply | undefined {
    return this.#replies.get(unique);
  }

  /** Sends a request which must be answered at once. */
  request(opcode: number, nodeId: number, content: Uint8Array): FakeKernelReply {
    const reply = this.reply(this.send(opcode, nodeId, content));
    if (reply === undefined) throw new Error(`opcode ${opcode} was not answered at once`);
    return reply;
  }

  /** Looks a path up and gives the last node's id, or the error. */
  find(path: string): number | string {
    let nodeId = 1;
    for (const name of path.split('/')) {
      const reply = this.request(FUSE_OPCODE.LOOKUP, nodeId, nameBytes(name));
      if (reply.outcome !== 'ok') return reply.outcome;
      nodeId = Number(reply.view.getBigUint64(0, true));
    }
    return nodeId;
  }

  /** Opens a path and gives the handle. */
  open(path: string, flags = 2): { nodeId: number; handle: number; openFlags: number } {
    const nodeId = this.find(path);
    if (typeof nodeId === 'string') throw new Error(`${path}: ${nodeId}`);
    const { view, outcome } = this.request(
      FUSE_OPCODE.OPEN,
      nodeId,
      body([
        [4, flags],
        [4, 0],
      ]),
    );
    if (outcome !== 'ok') throw new Error(`${path}: ${outcome}`);
    return { nodeId, handle: Number(view.getBigUint64(0, true)), openFlags: view.getUint32(8, true) };
  }

  /** @param flags those that the open file has now */
  sendRead(file: { nodeId: number; handle: number }, offset: number, size: number, flags = 0): number {
    const fields: BodyFields = [
      [8, file.handle],
      [8, offset],
      [4, size],
      [4, 0],
      [8, 0],
      [4, flags],
      [4, 0],
    ];
    return this.send(FUSE_OPCODE.READ, file.nodeId, body(fields));
  }

  sendWrite(file: { nodeId: number; handle: number }, offset: number, bytes: Uint8Array): number {
    const fields: BodyFields = [
      [8, file.handle],
      [8, offset],
      [4, bytes.length],
      [4, 0],
      [8, 0],
      [4, 0],
      [4, 0],
    ];
    return this.send(FUSE_OPCODE.WRITE, file.nodeId, body(fields, bytes));
  }

  #receive(message: Uint8Array<ArrayBuffer>): void {
    const view = new DataView(message.buffer);
    const unique = Number(view.getBigUint64(8, true));
    const error = view.getInt32(4, true);
    const content = message.subarray(FUSE_SIZE.replyHeader);
    const contentView = new DataView(message.buffer, FUSE_SIZE.replyHeader);
    if (unique === 0) this.notifications.push(contentView);
    else {
      const outcome = error === 0 ? 'ok' : errnoName(-error);
      this.#replies.set(unique, { outcome, body: content, view: contentView });
    }
  }
}
