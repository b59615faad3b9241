import { FUSE_OPCODE, FUSE_SIZE } from '@usertrace/abi';
import { describe, expect, test } from 'vitest';
import type { FileNode } from '../node.ts';
import { body, fakeDirectory, fakeFile, FakeKernel, nameBytes, OPEN_READ_ONLY } from './fake-kernel.sim.ts';

describe('NodeRequests', () => {
  test('bounds the names that open directories hold, for each user', () => {
    const names = Array.from({ length: 30_000 }, (_, index) => `event_${index}`);
    const kernel = new FakeKernel(fakeDirectory({}, names));
    const listedBy = (uid: number, handles: readonly number[]) =>
      handles.map((handle) => {
        const fields = [
          [8, handle],
          [8, 0],
          [4, 4096],
          [4, 0],
          [8, 0],
          [8, 0],
        ] as const; // prettier-ignore
        return kernel.reply(kernel.send(FUSE_OPCODE.READDIR, 1, body(fields), { tid: 10, uid }))?.outcome;
      });
    const open = (uid: number) => {
      const unique = kernel.send(FUSE_OPCODE.OPENDIR, 1, OPEN_READ_ONLY, { tid: 10, uid });
      return Number(kernel.reply(unique)?.view.getBigUint64(0, true));
    };
    const handles = Array.from({ length: 40 }, () => open(1));
    const outcomes = listedBy(1, handles);
    expect(outcomes.filter((outcome) => outcome === 'ok')).toHaveLength(34);
    expect(outcomes.at(-1)).toBe('ENOMEM');
    expect(listedBy(1000, [open(1000)])).toEqual(['ok']);
    for (const handle of handles.slice(0, 2)) {
      kernel.request(
        FUSE_OPCODE.RELEASEDIR,
        1,
        body([
          [8, handle],
          [8, 0],
          [8, 0],
        ]),
      ); // prettier-ignore
    }
    expect(listedBy(1, handles.slice(-3))).toEqual(['ok', 'ok', 'ENOMEM']);
  });

  test('makes no file, and renames and removes none', () => {
    const kernel = new FakeKernel(fakeDirectory({ trace: fakeFile({ release() {} }) }));
    const make = (mode: number) =>
      kernel.request(
        FUSE_OPCODE.MKNOD,
        1,
        body(
          [
            [4, mode],
            [4, 0],
            [4, 0],
            [4, 0],
          ],
          nameBytes('new'),
        ),
      ).outcome; // prettier-ignore
    expect(make(0o100644)).toBe('EACCES');
    expect(make(0o010644)).toBe('EPERM');
    expect(kernel.request(FUSE_OPCODE.CREATE, 1, nameBytes('new')).outcome).toBe('EACCES');
    for (const opcode of ['UNLINK', 'SYMLINK', 'LINK', 'RENAME', 'RENAME2', 'MKDIR', 'RMDIR'] as const) {
      const content = body(opcode === 'MKDIR' ? [[8, 0]] : [], nameBytes('trace'));
      expect(kernel.request(FUSE_OPCODE[opcode], 1, content).outcome, opcode).toBe('EPERM');
    }
  });

  test('keeps what chmod and chown set, and has the tree keep the node', () => {
    let keptCount = 0;
    const trace: FileNode = { ...fakeFile({ release() {} }), keep: () => keptCount++ };
    const kernel = new FakeKernel(fakeDirectory({ trace }));
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
    expect(keptCount).toBeGreaterThan(0);
    expect(view.getUint32(16 + 60, true)).toBe(0o100604);
    expect(view.getUint32(16 + 72, true)).toBe(77);
  });
});
