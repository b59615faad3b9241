/** What is parsed, against what it must come to: files of /proc, and the connector's messages. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { Tid } from '@usertrace/base';
import { describe, expect, it } from 'vitest';
import {
  CONNECTOR_HEADER,
  EXEC_BODY,
  EXIT_BODY,
  FORK_BODY,
  MESSAGE_BYTES,
  NETLINK_HEADER,
  PROCESS_EVENT,
  parseConnectorMessage,
} from './connector-messages.ts';
import { imageFingerprint, looksRandomised } from './image.ts';
import { parseTaskStat } from './procfs.ts';

const STAT =
  '8426 (cat) R 8422 8359 2512 0 -1 4194304 75 0 0 0 0 0 0 0 20 0 1 0 212951 3133440 381 18446744073709551615 ' +
  '94452101079040 94452101098921 140726399363104 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 94452101114928 94452101116544 ' +
  '94452810485760 140726399371797 140726399371817 140726399371817 140726399373291 0\n';

describe('parseTaskStat()', () => {
  it('reads a real one', () => {
    expect(parseTaskStat(Buffer.from(STAT))).toEqual({
      command: 'cat',
      state: 'R',
      parentPid: 8422,
      hasExeced: true,
      startTicks: 212951,
      memory: {
        addresses:
          '94452101079040,94452101098921,140726399363104,94452101114928,94452101116544,94452810485760',
        stack: 140726399363104,
      },
    });
  });

  it('takes any command, whatever blanks and parentheses are in it', () => {
    const command = fc.string({ unit: fc.constantFrom('(', ')', ' ', '\n', 'a', '1', 'é'), maxLength: 12 });
    fc.assert(
      fc.property(command, (text) => {
        const stat = parseTaskStat(Buffer.from(STAT.replace('(cat)', () => `(${text})`)));
        expect(stat).toMatchObject({ command: text, state: 'R', startTicks: 212951 });
      }),
    );
  });

  it('tells a task without memory from one whose memory we may not see', () => {
    const fields = STAT.trimEnd().split(' ');
    const withCode = (start: string, end: string): Buffer => {
      const changed = [...fields];
      [25, 26, 27, 44, 45, 46].forEach((index) => (changed[index] = '0'));
      changed[25] = start;
      changed[26] = end;
      return Buffer.from(changed.join(' '));
    };
    expect(parseTaskStat(withCode('0', '0')).memory).toBe('none');
    expect(parseTaskStat(withCode('1', '1')).memory).toBe('hidden');
  });
});

describe('imageFingerprint()', () => {
  it('believes the kernel about a stack that is near the end by chance', () => {
    const layout = { addresses: 'somewhere', stack: 0x7fff_ffff_e3c0 };
    expect(imageFingerprint(Tid(process.pid), layout)).toBe('somewhere');
    expect(imageFingerprint(Tid(process.pid), { ...layout, stack: 0xffd2_b3c0 })).toBeUndefined();
  });
});

describe('looksRandomised()', () => {
  it('doubts a stack right below the end of the address space, and 32-bit programs', () => {
    expect(looksRandomised(0x7fff_ffff_e3c0)).toBe(false);
    expect(looksRandomised(0xffff_ffff_f3c0)).toBe(false);
    expect(looksRandomised(0xffd2_b3c0)).toBe(false);
    expect(looksRandomised(140726399363104)).toBe(true);
  });
});

function message(hex: string): DataView {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

const read = (hex: string): unknown => parseConnectorMessage(message(hex), MESSAGE_BYTES);
const ofEvent = (name: string): string => `offsetof(struct proc_event, ${name})`;
const body = (name: string): string => `${ofEvent(`event_data.${name}`)} - ${ofEvent('event_data')}`;
const size = (name: string): string => `sizeof(((struct proc_event *)0)->event_data.${name})`;

describe('parseConnectorMessage()', () => {
  // Recorded on Linux 6.18.
  const FORK =
    '4c000000030000000200000000000000 0100000001000000020000000000000028000000 01000000010000006d9db60674010000 ' +
    'a6150000a6150000d3150000a91500000000000000000000';
  const EXEC =
    '4c000000030000000000000000000000 0100000001000000000000000000000028000000 0200000000000000ac32ac0674010000 ' +
    'd2150000d215000000000000000000000000000000000000';
  const EXIT =
    '4c000000030000000100000000000000 0100000001000000010000000000000028000000 0000008000000000d94bb50674010000 ' +
    'd2150000d21500000000000011000000a9150000a9150000';

  it('reads what the kernel sent', () => {
    expect(read(FORK)).toEqual({
      kind: 'fork',
      parentTid: 5542,
      parentPid: 5542,
      childTid: 5587,
      childPid: 5545,
    });
    expect(read(EXEC)).toEqual({ kind: 'exec', tid: 5586, pid: 5586 });
    expect(read(EXIT)).toEqual({ kind: 'exit', tid: 5586, pid: 5586 });
  });

  it('leaves out what is short, or not the process connector', () => {
    expect(parseConnectorMessage(message(FORK), MESSAGE_BYTES - 1)).toBeUndefined();
    const other = message(FORK);
    other.setUint32(NETLINK_HEADER.bytes, 7, true);
    expect(parseConnectorMessage(other, MESSAGE_BYTES)).toBeUndefined();
  });

  const hasCompiler = spawnSync('cc', ['--version']).status === 0;
  it.skipIf(!hasCompiler)('has the layouts of the C headers', () => {
    const folder = mkdtempSync(join(tmpdir(), 'usertrace-layout-'));
    const pairs: [expression: string, value: number][] = [
      ['sizeof(struct nlmsghdr)', NETLINK_HEADER.bytes],
      ['offsetof(struct nlmsghdr, nlmsg_type)', NETLINK_HEADER.type],
      ['offsetof(struct nlmsghdr, nlmsg_pid)', NETLINK_HEADER.pid],
      ['sizeof(struct cn_msg)', CONNECTOR_HEADER.bytes],
      ['offsetof(struct cn_msg, id.val)', CONNECTOR_HEADER.val],
      ['offsetof(struct cn_msg, ack)', CONNECTOR_HEADER.ack],
      ['offsetof(struct cn_msg, len)', CONNECTOR_HEADER.len],
      ['sizeof(struct proc_event)', PROCESS_EVENT.bytes],
      [ofEvent('timestamp_ns'), PROCESS_EVENT.timestampNs],
      [ofEvent('event_data'), PROCESS_EVENT.body],
      [body('fork.parent_pid'), FORK_BODY.parentTid],
      [body('fork.parent_tgid'), FORK_BODY.parentPid],
      [body('fork.child_pid'), FORK_BODY.childTid],
      [body('fork.child_tgid'), FORK_BODY.childPid],
      [size('fork'), FORK_BODY.bytes],
      [body('exec.process_tgid'), EXEC_BODY.pid],
      [size('exec'), EXEC_BODY.bytes],
      [body('exit.process_tgid'), EXIT_BODY.pid],
      [size('exit'), EXIT_BODY.bytes],
    ];
    const source = join(folder, 'layout.c');
    const checks = pairs.map(([expression, value]) => `_Static_assert(${expression} == ${value}, "");`);
    const headers = ['stddef.h', 'linux/netlink.h', 'linux/connector.h', 'linux/cn_proc.h'];
    writeFileSync(source, [...headers.map((header) => `#include <${header}>`), ...checks, ''].join('\n'));
    execFileSync('cc', ['-c', '-o', join(folder, 'layout.o'), source]);
    rmSync(folder, { recursive: true });
  });
});
