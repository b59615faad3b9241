import { FUSE_OPCODE, FUSE_OPEN_FLAG } from '@usertrace/abi';
import { describe, expect, test } from 'vitest';
import type { FileNode, OpenFile } from '../node.ts';
import { body, fakeDirectory, fakeFile, FakeKernel, nameBytes, OPEN_READ_ONLY } from './fake-kernel.sim.ts';

const O_RDWR = 0o2;
const O_APPEND = 0o2000;
const O_NONBLOCK = 0o4000;

/** With which flags a file is opened. */
function openFlags(access: FileNode['access'], flags: number = O_RDWR): number {
  const kernel = new FakeKernel(fakeDirectory({ opened: fakeFile({ release() {} }, access) }));
  return kernel.open('opened', flags).openFlags;
}

/** Opens `trace` for a user until it is refused, and says how often it opened and why no more. */
function openAll(kernel: FakeKernel, uid: number): { count: number; end: string } {
  const nodeId = kernel.find('trace') as number;
  for (let count = 0; ; count++) {
    const reply = kernel.reply(kernel.send(FUSE_OPCODE.OPEN, nodeId, OPEN_READ_ONLY, { tid: 10, uid }));
    if (reply?.outcome !== 'ok') return { count, end: reply?.outcome ?? 'no answer' };
  }
}

describe('FileRequests', () => {
  test.each(['stream', 'pipe'] as const)('gives each opener of a %s file a node of its own', (access) => {
    const kernel = new FakeKernel(fakeDirectory({ trace_marker: fakeFile({ release() {} }, access) }));
    const lookups = [1, 2].map(() => kernel.request(FUSE_OPCODE.LOOKUP, 1, nameBytes('trace_marker')).view);
    const [first, second] = lookups.map((view) => view.getBigUint64(0, true));
    expect(first).not.toBe(second);
    const [inode, sameInode] = lookups.map((view) => view.getBigUint64(40, true));
    expect(inode).toBe(sameInode);
  });

  test('opens files so that a write comes whole where it must, and that close(2) waits for nobody', () => {
    const { DIRECT_IO, NOFLUSH, NONSEEKABLE, STREAM } = FUSE_OPEN_FLAG;
    expect(openFlags('stream')).toBe(STREAM | NONSEEKABLE | NOFLUSH);
    expect(openFlags('pipe')).toBe(DIRECT_IO | STREAM | NONSEEKABLE | NOFLUSH);
    expect(openFlags('text')).toBe(DIRECT_IO | NOFLUSH);
    // With O_APPEND, an event that lies across a page of the file would be torn.
    expect(openFlags('stream', O_RDWR | O_APPEND)).toBe(DIRECT_IO | STREAM | NONSEEKABLE | NOFLUSH);
  });

  test('leaves open files for its owner whatever others open, and takes back what they close', () => {
    const kernel = new FakeKernel(fakeDirectory({ trace: fakeFile({ release() {} }) }));
    const others = [1, 2, 3, 4].map((uid) => openAll(kernel, uid));
    expect(others).toEqual([16_384, 16_384, 16_384, 0].map((count) => ({ count, end: 'ENFILE' })));
    kernel.request(
      FUSE_OPCODE.RELEASE,
      2,
      body([
        [8, 1],
        [8, 0],
        [8, 0],
      ]),
    ); // prettier-ignore
    expect(openAll(kernel, 1)).toEqual({ count: 1, end: 'ENFILE' });
    expect(openAll(kernel, 1000)).toEqual({ count: 16_384, end: 'ENFILE' });
  });

  test('tells a file at each read whether fcntl(2) has made it non-blocking', () => {
    const told: (boolean | undefined)[] = [];
    const open: OpenFile = {
      read(_caller, _offset, _size, reply, isNonBlocking) {
        told.push(isNonBlocking);
        reply.done(new Uint8Array(0));
      },
      release() {},
    };
    const kernel = new FakeKernel(fakeDirectory({ trace_pipe: fakeFile(open, 'pipe') }));
    const opened = kernel.open('trace_pipe', 0);
    kernel.sendRead(opened, 0, 4096);
    kernel.sendRead(opened, 0, 4096, O_NONBLOCK);
    expect(told).toEqual([false, true]);
  });

  test('withdraws a read that it has no room to keep waiting', () => {
    let kept = 0;
    const open: OpenFile = {
      read(_caller, _offset, _size, reply) {
        kept++;
        reply.onInterrupt(() => kept--);
      },
      release() {},
    };
    const kernel = new FakeKernel(fakeDirectory({ trace_pipe: fakeFile(open, 'pipe') }));
    const opened = kernel.open('trace_pipe', 0);
    const uniques = Array.from({ length: 16_385 }, () => kernel.sendRead(opened, 0, 4096));
    expect(kernel.reply(uniques.at(-1) ?? 0)?.outcome).toBe('EAGAIN');
    expect(kept).toBe(16_384);
  });
});
