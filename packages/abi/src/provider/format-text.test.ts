import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COMMON_FIELDS_FORMAT } from '../ring/entry.ts';
import { decodeEventTable, encodeEventEntry, eventIdentity, providerEventFormat } from './event-entry.ts';

/** A probe's format file, as the kernel writes them. */
function formatText(
  id: number,
  name = 'open',
  field = '\tfield:u32 n;\toffset:16;\tsize:4;\tsigned:0;\n',
): string {
  return [
    `name: ${name}\nID: ${id}\nformat:\n${COMMON_FIELDS_FORMAT}\n`,
    `\tfield:unsigned long __probe_ip;\toffset:8;\tsize:8;\tsigned:0;\n${field}`,
    '\nprint fmt: "(%lx) n=%u", REC->__probe_ip, REC->n\n',
  ].join('');
}

const entryOf = (text: string): Uint8Array => encodeEventEntry('format', text);
const read = (text: string) => decodeEventTable(entryOf(text), 1).events[0];

describe('an entry with a format', () => {
  it('is an event with its system, fields and format, under any id', () => {
    const text = `probes-1\n${formatText(1024)}`;
    const event = read(text);
    expect(event).toMatchObject({ system: 'probes-1', name: 'open', kind: 'format', text });
    expect(
      event?.fields.map(({ type, name, offset, size, isSigned }) => [type, name, offset, size, isSigned]),
    ).toEqual([
      ['unsigned long', '__probe_ip', 8, 8, false],
      ['u32', 'n', 16, 4, false],
    ]);
    if (event === undefined) return;
    expect(providerEventFormat(event, 77)).toBe(formatText(77));
    // The same event may have another number in another process.
    expect(eventIdentity(event)).toBe(eventIdentity({ ...event, text: `probes-1\n${formatText(1025)}` }));
    expect(eventIdentity(event)).not.toBe(eventIdentity({ ...event, text: `probes-2\n${formatText(1024)}` }));
  });

  it('takes the fields that probes have', () => {
    for (const [line, type] of [
      ['\tfield:u8 n[];\toffset:16;\tsize:64;\tsigned:0;\n', 'u8[]'],
      ['\tfield:__data_loc char[] n;\toffset:16;\tsize:4;\tsigned:1;\n', '__data_loc char[]'],
      ['\tfield:__data_loc char[][3] n;\toffset:16;\tsize:12;\tsigned:1;\n', '__data_loc char[][3]'],
    ] as const) {
      expect(read(`g\n${formatText(1, 'e', line)}`)?.fields[1]?.type).toBe(type);
    }
  });

  it('takes names with the letters that the kernel takes', () => {
    const text = `gr\u00fcn\n${formatText(1, '\u00e9v', '\tfield:u32 \u00e4;\toffset:16;\tsize:4;\tsigned:0;\n')}`;
    expect(read(text)).toMatchObject({
      system: 'gr\u00fcn',
      name: '\u00e9v',
      fields: [{}, { name: '\u00e4' }],
    });
  });

  it('is refused when it is none, or has what would act on a terminal or a reader', () => {
    const good = `g\n${formatText(1)}`;
    for (const bad of [
      good.slice(0, 60),
      good.replace('g\n', '\n'),
      good.replace('g\n', '../g\n'),
      good.replace('name: open', 'name: op en'),
      good.replace('common_pid', 'common_tid'),
      good.replace('offset:16', 'offset:17'),
      good.replace('size:4;', 'size:9999;'),
      good.replace('u32 n', 'u32 n\u001b[2J'),
      good.replace('n=%u', 'n=%u\u0007'),
      `${good}name: again\n`,
    ]) {
      expect(read(bad), bad).toBeUndefined();
    }
    expect(read(good)).toBeDefined();
  });

  it('stands beside commands, and long ones are read whole', () => {
    const print = `"${'x'.repeat(100_000)}"`;
    const long = `g\n${formatText(1025).replace(/print fmt: .*\n$/u, `print fmt: ${print}\n`)}`;
    const table = Buffer.concat([
      encodeEventEntry('command', 'tick u32 n'),
      entryOf(long),
      entryOf(`g\n${formatText(1026)}`),
    ]);
    const { events, isWhole } = decodeEventTable(table, 3);
    expect(isWhole).toBe(true);
    expect(events.map(({ system, name }) => `${system}:${name}`)).toEqual([
      'user_events:tick',
      'g:open',
      'g:open',
    ]);
    expect(events[1]?.text).toBe(long);
  });

  it('takes any damage without harm', () => {
    const text = `g\n${formatText(1)}`;
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.nat(255), fc.nat(20), (at, byte, removed) => {
        const damaged = text.slice(0, at) + String.fromCharCode(byte) + text.slice(at + removed);
        for (const { fields } of decodeEventTable(entryOf(damaged), 1).events) {
          for (const { offset, size } of fields) expect(offset + size).toBeLessThanOrEqual(4096);
        }
      }),
    );
  });
});
