import { FUSE_OPCODE, FUSE_OPEN_FLAG, FUSE_SIZE } from '@usertrace/abi';
import { describe, expect, test } from 'vitest';
import type { DirectoryNode, FileNode, OpenFile, Reply, TreeNode } from '../node.ts';
import { body, FakeKernel, nameBytes } from './fake-kernel.sim.ts';

function directory(children: Record<string, TreeNode>, names = Object.keys(children)): DirectoryNode {
  return {
    kind: 'directory',
    mode: 0o750,
    child: (name) => children[name],
    *entries() {
      for (const name of names) yield { name, kind: children[name]?.kind ?? 'directory' };
    },
  };
}

function file(open: OpenFile, access: FileNode['access'] = 'text'): FileNode {
  return { kind: 'file', mode: 0o640, access, open: () => open };
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** Names of a directory, as getdents(2) would give them in pieces of `size` bytes. */
function list(kernel: FakeKernel, nodeId: number, size: number): { names: string[]; end: string } {
  const opened = kernel.request(
    FUSE_OPCODE.OPENDIR,
    nodeId,
    body([
      [4, 0],
      [4, 0],
    ]),
  );
  const handle = Number(opened.view.getBigUint64(0, true));
  const names: string[] = [];
  let position = 0;
  for (;;) {
    const fields = [
      [8, handle],
      [8, position],
      [4, size],
      [4, 0],
      [8, 0],
      [8, 0],
    ] as const;
    const reply = kernel.request(FUSE_OPCODE.READDIR, nodeId, body(fields));
    if (reply.outcome !== 'ok' || reply.body.length === 0) return { names, end: reply.outcome };
    for (let offset = 0; offset < reply.body.length; ) {
      const length = reply.view.getUint32(offset + 16, true);
      position = Number(reply.view.getBigUint64(offset + 8, true));
      names.push(text(reply.body.subarray(offset + 24, offset + 24 + length)));
      offset += (24 + length + 7) & ~7;
    }
  }
}

describe('FuseSession', () => {
  test('lists a directory in pieces of any size', () => {
    const children = Object.fromEntries(
      Array.from({ length: 40 }, (_, index) => [`event_${index}`, directory({})]),
    );
    const kernel = new FakeKernel(directory(children));
    for (const size of [64, 100, 512, 4096]) {
      const { names, end } = list(kernel, 1, size);
      expect(names).toEqual(['.', '..', ...Object.keys(children)]);
      expect(end).toBe('ok');
    }
  });

  test('ends a listing with EIO at a name that no directory can hold, after all names before it', () => {
    const kernel = new FakeKernel(directory({ a: directory({}), b: directory({}) }, ['a', 'x/y', 'b']));
    expect(list(kernel, 1, 4096)).toEqual({ names: ['.', '..', 'a'], end: 'EIO' });
  });

  test('gives each opener of a stream file a node of its own with one inode number', () => {
    const stream = file({ release() {} }, 'stream');
    const kernel = new FakeKernel(directory({ user_events_data: stream }));
    const lookups = [1, 2].map(
      () => kernel.request(FUSE_OPCODE.LOOKUP, 1, nameBytes('user_events_data')).view,
    );
    const [first, second] = lookups.map((view) => view.getBigUint64(0, true));
    expect(first).not.toBe(second);
    const [inode, sameInode] = lookups.map((view) => view.getBigUint64(40, true));
    expect(inode).toBe(sameInode);
    expect(kernel.open('user_events_data').openFlags).toBe(
      FUSE_OPEN_FLAG.STREAM | FUSE_OPEN_FLAG.NONSEEKABLE | FUSE_OPEN_FLAG.NOFLUSH,
    );
  });

  test('forgets a node only when every lookup of it was forgotten', () => {
    const kernel = new FakeKernel(directory({ trace: file({ release() {} }) }));
    const before = kernel.session.counts.nodes;
    const nodeId = kernel.find('trace') as number;
    kernel.find('trace');
    kernel.send(FUSE_OPCODE.FORGET, nodeId, body([[8, 1]]));
    expect(
      kernel.request(
        FUSE_OPCODE.GETATTR,
        nodeId,
        body([
          [8, 0],
          [8, 0],
        ]),
      ).outcome,
    ).toBe('ok');
    kernel.send(
      FUSE_OPCODE.BATCH_FORGET,
      0,
      body([
        [4, 1],
        [4, 0],
        [8, nodeId],
        [8, 1],
      ]),
    );
    expect(
      kernel.request(
        FUSE_OPCODE.GETATTR,
        nodeId,
        body([
          [8, 0],
          [8, 0],
        ]),
      ).outcome,
    ).toBe('ENOENT');
    expect(kernel.session.counts.nodes).toBe(before);
  });

  test('answers a waiting read later, and EINTR when the caller is interrupted', () => {
    const waiting: Reply<Uint8Array>[] = [];
    let withdrawn = 0;
    const open: OpenFile = {
      read(_caller, _offset, _size, reply) {
        waiting.push(reply);
        reply.onInterrupt(() => withdrawn++);
      },
      release() {},
    };
    const kernel = new FakeKernel(directory({ trace_pipe: file(open, 'pipe') }));
    const opened = kernel.open('trace_pipe', 0);
    const first = kernel.sendRead(opened, 0, 4096);
    const second = kernel.sendRead(opened, 0, 4096);
    expect(kernel.reply(first)).toBeUndefined();
    expect(kernel.session.counts.waiting).toBe(2);
    kernel.send(FUSE_OPCODE.INTERRUPT, 0, body([[8, first]]));
    expect(kernel.reply(first)?.outcome).toBe('EINTR');
    expect(withdrawn).toBe(1);
    waiting[1]?.done(Buffer.from('an event\n'));
    expect(text(kernel.reply(second)?.body ?? new Uint8Array(0))).toBe('an event\n');
    waiting[0]?.done(Buffer.from('too late'));
    expect(kernel.reply(first)?.outcome).toBe('EINTR');
    expect(kernel.session.counts.waiting).toBe(0);
  });

  test('wakes pollers once the file becomes readable', () => {
    const ready: (() => void)[] = [];
    const open: OpenFile = {
      isReadable: () => ready.length > 1,
      onReadable: (wake) => void ready.push(wake),
      release() {},
    };
    const kernel = new FakeKernel(directory({ trace_pipe: file(open, 'pipe') }));
    const { nodeId, handle } = kernel.open('trace_pipe', 0);
    const poll = kernel.request(
      FUSE_OPCODE.POLL,
      nodeId,
      body([
        [8, handle],
        [8, 77],
        [4, 1],
        [4, 1],
      ]),
    );
    expect(poll.view.getUint32(0, true)).toBe(0);
    ready[0]?.();
    expect(kernel.notifications.map((view) => view.getBigUint64(0, true))).toEqual([77n]);
  });

  test('takes the rest of a write beyond the largest transfer without serving it as another event', () => {
    const served: number[] = [];
    const open: OpenFile = {
      write(_caller, _offset, bytes, reply) {
        served.push(bytes.length);
        reply.done(bytes.length);
      },
      release() {},
    };
    const kernel = new FakeKernel(directory({ user_events_data: file(open, 'stream') }));
    const opened = kernel.open('user_events_data');
    kernel.sendWrite(opened, 0, new Uint8Array(1024 * 1024));
    const rest = kernel.reply(kernel.sendWrite(opened, 1024 * 1024, new Uint8Array(100)));
    expect(rest?.view.getUint32(0, true)).toBe(100);
    expect(served).toEqual([1024 * 1024]);
    // With O_APPEND the kernel counts on; each write is an event all the same.
    kernel.sendWrite(opened, 8, new Uint8Array(8));
    kernel.sendWrite(opened, 16, new Uint8Array(8));
    expect(served).toEqual([1024 * 1024, 8, 8]);
  });

  test('keeps what chmod and chown set', () => {
    const kernel = new FakeKernel(directory({ trace: file({ release() {} }) }));
    const nodeId = kernel.find('trace') as number;
    const fields = [
      [4, 1 | 4],
      [4, 0],
      [8, 0],
      [8, 0],
      [8, 0],
      [8, 0],
      [8, 0],
      [8, 0],
      [8, 0],
    ] as const;
    const times = [
      [4, 0o604],
      [4, 0],
      [4, 0],
      [4, 77],
      [4, 0],
    ] as const;
    const content = body([...fields.slice(0, 2), ...fields.slice(2, 8), [4, 0], [4, 0], [4, 0], ...times]);
    expect(content.length).toBe(FUSE_SIZE.setAttributesIn);
    kernel.request(FUSE_OPCODE.SETATTR, nodeId, content);
    const { view } = kernel.request(
      FUSE_OPCODE.GETATTR,
      nodeId,
      body([
        [8, 0],
        [8, 0],
      ]),
    );
    expect(view.getUint32(16 + 60, true)).toBe(0o100604);
    expect(view.getUint32(16 + 72, true)).toBe(77);
  });

  test('answers ENOTTY to an ioctl of a file that has none, and ENOSYS to what it does not know', () => {
    const kernel = new FakeKernel(directory({ trace: file({ release() {} }) }));
    const { nodeId, handle } = kernel.open('trace', 0);
    const fields = [
      [8, handle],
      [4, 0],
      [4, 0x5401],
      [8, 0],
      [4, 0],
      [4, 0],
    ] as const;
    expect(kernel.request(FUSE_OPCODE.IOCTL, nodeId, body(fields)).outcome).toBe('ENOTTY');
    expect(kernel.request(FUSE_OPCODE.FLUSH, nodeId, new Uint8Array(24)).outcome).toBe('ENOSYS');
    expect(kernel.request(4711, nodeId, new Uint8Array(0)).outcome).toBe('ENOSYS');
  });
});
