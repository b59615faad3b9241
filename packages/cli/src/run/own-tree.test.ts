import type { FileNode, OpenFile } from '@usertrace/tracefs';
import { describe, expect, it } from 'vitest';
import { folder } from './folder.sim.ts';
import { nodeAt, openNode, readNode, readText, writeText } from './own-tree.ts';

/** A file that answers a text in pieces of at most `pieceSize` bytes, later, from memory it uses again. */
function textFile(text: string, pieceSize: number): FileNode {
  const scratch = Buffer.alloc(pieceSize);
  return file({
    read: (_caller, offset, size, reply) => {
      const piece = Buffer.from(text).subarray(offset, offset + Math.min(size, pieceSize));
      setImmediate(() => {
        piece.copy(scratch);
        reply.done(scratch.subarray(0, piece.length));
        scratch.fill(0);
      });
    },
    release: () => undefined,
  });
}

function file(opened: OpenFile): FileNode {
  return { kind: 'file', mode: 0o644, access: 'text', open: () => opened };
}

describe('nodeAt()', () => {
  it('walks down folders', () => {
    const leaf = textFile('', 1);
    const root = folder({ a: folder({ b: leaf }), c: leaf });
    expect(nodeAt(root, 'a/b')).toBe(leaf);
    expect(() => nodeAt(root, 'a/x')).toThrow('ENOENT');
    expect(() => nodeAt(root, 'c/x')).toThrow('ENOENT');
  });
});

describe('readText()', () => {
  it('joins the pieces that a file gives', async () => {
    expect(await readText(textFile('one two three', 4))).toBe('one two three');
  });

  it('rejects with the errno of the file', async () => {
    const refusing = file({
      read: (_caller, _offset, _size, reply) => reply.fail('EIO'),
      release: () => undefined,
    });
    await expect(readText(refusing)).rejects.toMatchObject({ code: 'EIO' });
    await expect(readText({ ...refusing, open: () => 'EACCES' })).rejects.toMatchObject({ code: 'EACCES' });
  });
});

describe('readNode()', () => {
  it('takes EAGAIN as nothing to read', async () => {
    const empty = file({
      read: (_caller, _offset, _size, reply) => reply.fail('EAGAIN'),
      release: () => undefined,
    });
    expect(await readNode(openNode(empty, { isReadable: true, isNonBlocking: true }), 10)).toHaveLength(0);
  });
});

describe('writeText()', () => {
  it('writes once, waits for the answer, and lets go of the file', async () => {
    const calls: string[] = [];
    const sink = file({
      write: (_caller, _offset, bytes, reply) => {
        calls.push(Buffer.from(bytes).toString());
        setImmediate(() => {
          calls.push('answered');
          reply.done(bytes.length);
        });
      },
      release: () => calls.push('released'),
    });
    await writeText(sink, '1');
    expect(calls).toEqual(['1', 'answered', 'released']);
  });
});
