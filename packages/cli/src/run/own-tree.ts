/**
 * Using the tree that this process itself serves: through its nodes, as promises. A path through the mount would
 * wait for an answer that only this process can give.
 *
 * An open file belongs to whoever opened it here, who calls its `release`.
 */

import { ErrnoError, type ErrnoName, Tid, Uid, assert } from '@usertrace/base';
import type { Caller, DirectoryNode, OpenFile, Reply, TreeNode } from '@usertrace/tracefs';

/** Bytes asked for in one read of a whole file. */
const READ_SIZE = 64 * 1024;

const OWN_CALLER: Caller = {
  tid: Tid(process.pid),
  uid: Uid(process.getuid?.() ?? 0),
  gid: process.getgid?.() ?? 0,
};

/**
 * The node at a path below a folder.
 *
 * @param path names with slashes between them
 * @throws {ErrnoError} ENOENT when there is none
 */
export function nodeAt(folder: DirectoryNode, path: string): TreeNode {
  let node: TreeNode = folder;
  for (const name of path.split('/')) {
    const child: ReturnType<DirectoryNode['child']> =
      node.kind === 'directory' ? node.child(name) : undefined;
    if (child === undefined) throw new ErrnoError('ENOENT', `the tree has no ${path}`);
    node = child;
  }
  return node;
}

/**
 * Opens a file for reading, or else for writing.
 *
 * @throws {ErrnoError} what the file answers
 */
export function openNode(
  node: TreeNode,
  how: { readonly isReadable: boolean; readonly isNonBlocking: boolean },
): OpenFile {
  assert(node.kind === 'file', 'only files are opened');
  const opened = node.open(OWN_CALLER, {
    readable: how.isReadable,
    writable: !how.isReadable,
    nonBlocking: how.isNonBlocking,
    append: false,
    truncate: false,
  });
  if (typeof opened === 'string') throw new ErrnoError(opened, 'a file of the own tree cannot be opened');
  return opened;
}

/**
 * Reads from an open file.
 *
 * @returns the bytes, a copy; none at the end, or when the file is non-blocking and has nothing now
 * @throws {ErrnoError} what the file answers
 */
export async function readNode(file: OpenFile, size: number, offset = 0): Promise<Uint8Array> {
  try {
    return await answer<Uint8Array>(
      (reply) => {
        assert(file.read !== undefined, 'the file can be read');
        file.read(OWN_CALLER, offset, size, reply);
      },
      // Not slice(): of a Buffer that would be the same memory.
      (bytes) => new Uint8Array(bytes),
    );
  } catch (error) {
    if (error instanceof ErrnoError && error.code === 'EAGAIN') return new Uint8Array();
    throw error;
  }
}

/** Everything a text file contains. */
export async function readText(node: TreeNode): Promise<string> {
  const file = openNode(node, { isReadable: true, isNonBlocking: true });
  try {
    const chunks: Uint8Array[] = [];
    for (let offset = 0; ; ) {
      const bytes = await readNode(file, READ_SIZE, offset);
      if (bytes.length === 0) return Buffer.concat(chunks).toString();
      chunks.push(bytes);
      offset += bytes.length;
    }
  } finally {
    file.release();
  }
}

/** Writes a text to a file, and waits until it has had its effect. */
export async function writeText(node: TreeNode, text: string): Promise<void> {
  const file = openNode(node, { isReadable: false, isNonBlocking: false });
  try {
    await answer<number>((reply) => {
      assert(file.write !== undefined, 'the file can be written');
      file.write(OWN_CALLER, 0, Buffer.from(text), reply);
    });
  } finally {
    file.release();
  }
}

/** Makes a request and waits for its answer. Nobody interrupts it: there is no caller that a signal could reach. */
function answer<Value>(
  request: (reply: Reply<Value>) => void,
  keep: (value: Value) => Value = (value) => value,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    request({
      done: (value) => resolve(keep(value)),
      fail: (code: ErrnoName) => reject(new ErrnoError(code, 'a file of the own tree refused')),
      onInterrupt: () => undefined,
    });
  });
}
