import { FUSE_OPCODE } from '@usertrace/abi';
import { describe, expect, test } from 'vitest';
import type { OpenFile, Reply } from '../node.ts';
import { body, fakeDirectory, fakeFile, FakeKernel } from './fake-kernel.sim.ts';

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

const GET_ATTRIBUTES = body([
  [8, 0],
  [8, 0],
]);

const O_RDWR = 0o2;
const O_APPEND = 0o2000;

describe('FuseSession', () => {
  test('lists a directory in pieces of any size', () => {
    const children = Object.fromEntries(
      Array.from({ length: 40 }, (_, index) => [`event_${index}`, fakeDirectory({})]),
    );
    const kernel = new FakeKernel(fakeDirectory(children));
    for (const size of [64, 100, 512, 4096]) {
      const { names, end } = list(kernel, 1, size);
      expect(names).toEqual(['.', '..', ...Object.keys(children)]);
      expect(end).toBe('ok');
    }
  });

  test('ends a listing with EIO at a name that no directory can hold, after all names before it', () => {
    const kernel = new FakeKernel(
      fakeDirectory({ a: fakeDirectory({}), b: fakeDirectory({}) }, ['a', 'x/y', 'b']),
    );
    expect(list(kernel, 1, 4096)).toEqual({ names: ['.', '..', 'a'], end: 'EIO' });
  });

  test('forgets a node only when every lookup of it was forgotten', () => {
    const kernel = new FakeKernel(fakeDirectory({ trace: fakeFile({ release() {} }) }));
    const before = kernel.session.counts.nodes;
    const nodeId = kernel.find('trace') as number;
    kernel.find('trace');
    kernel.send(FUSE_OPCODE.FORGET, nodeId, body([[8, 1]]));
    expect(kernel.request(FUSE_OPCODE.GETATTR, nodeId, GET_ATTRIBUTES).outcome).toBe('ok');
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
    expect(kernel.request(FUSE_OPCODE.GETATTR, nodeId, GET_ATTRIBUTES).outcome).toBe('ENOENT');
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
    const kernel = new FakeKernel(fakeDirectory({ trace_pipe: fakeFile(open, 'pipe') }));
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

  test.each([false, true])(
    'wakes pollers once something comes, when the file was readable: %j',
    (wasReadable) => {
      const ready: (() => void)[] = [];
      const open: OpenFile = {
        isReadable: () => wasReadable,
        onReadable: (wake) => void ready.push(wake),
        release() {},
      };
      const kernel = new FakeKernel(fakeDirectory({ trace_pipe: fakeFile(open, 'pipe') }));
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
      expect(poll.view.getUint32(0, true) !== 0).toBe(wasReadable);
      ready[0]?.();
      expect(kernel.notifications.map((view) => view.getBigUint64(0, true))).toEqual([77n]);
    },
  );

  test('takes the rest of a write beyond the largest transfer without serving it as another event', () => {
    const served: number[] = [];
    const open: OpenFile = {
      write(_caller, _offset, bytes, reply) {
        served.push(bytes.length);
        reply.done(bytes.length);
      },
      release() {},
    };
    const kernel = new FakeKernel(fakeDirectory({ user_events_data: fakeFile(open, 'stream') }));
    const opened = kernel.open('user_events_data');
    kernel.sendWrite(opened, 0, new Uint8Array(1024 * 1024));
    const rest = kernel.reply(kernel.sendWrite(opened, 1024 * 1024, new Uint8Array(100)));
    expect(rest?.view.getUint32(0, true)).toBe(100);
    expect(served).toEqual([1024 * 1024]);
    // A page that was not in memory cut this one.
    kernel.sendWrite(opened, 0, new Uint8Array(12));
    expect(kernel.reply(kernel.sendWrite(opened, 12, new Uint8Array(5)))?.view.getUint32(0, true)).toBe(5);
    expect(served).toEqual([1024 * 1024, 12]);
    // With O_APPEND the kernel counts on; each write is an event all the same.
    const appended = kernel.open('user_events_data', O_RDWR | O_APPEND);
    kernel.sendWrite(appended, 8, new Uint8Array(8));
    kernel.sendWrite(appended, 16, new Uint8Array(8));
    expect(served).toEqual([1024 * 1024, 12, 8, 8]);
  });

  test('answers ENOTTY to an ioctl of a file that has none, and ENOSYS to what it does not know', () => {
    const kernel = new FakeKernel(fakeDirectory({ trace: fakeFile({ release() {} }) }));
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
