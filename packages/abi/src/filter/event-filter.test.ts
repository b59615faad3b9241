import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseFields } from '../user-events/fields.ts';
import { EventFilter } from './event-filter.ts';
import { type FilterField, userEventFilterFields } from './filter-field.ts';
import { FilterRefusal } from './filter-refusal.ts';

const CPU_COUNT = 2;
/** What Linux 6.18 let through: on the first line the texts, then a place, a comparison, a value, and which texts passed. */
const RECORDED = readFileSync(new URL('kernel-text-matches.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as unknown);

function fieldsOf(declaration: string): readonly FilterField[] {
  const fields = parseFields(declaration);
  if (typeof fields === 'string') throw new Error(declaration);
  return userEventFilterFields(fields);
}

/** Whether a filter lets through what a program wrote. */
function passes(declaration: string, filter: string, payload: Uint8Array): boolean {
  const parsed = EventFilter.parse(filter, fieldsOf(declaration), CPU_COUNT);
  const record = new DataView(Uint8Array.from([...new Uint8Array(8), ...payload]).buffer);
  return parsed?.matches({ record, tid: 42, comm: 'worker', cpu: 1 }) ?? true;
}

function refusal(declaration: string, filter: string): { code: string; fileText: string } {
  try {
    EventFilter.parse(filter, fieldsOf(declaration), CPU_COUNT);
  } catch (error) {
    if (error instanceof FilterRefusal) return { code: error.code, fileText: error.fileText };
  }
  throw new Error(`"${filter}" is taken`);
}

/** A location with its text behind it. */
function located(start: number, text: string): Uint8Array {
  const bytes = Buffer.from(`\0\0\0\0${text}\0`, 'latin1');
  bytes.writeUInt16LE(start, 0);
  bytes.writeUInt16LE(text.length + 1, 2);
  return bytes;
}

const PLACES: Readonly<Record<string, readonly [string, (text: string) => Uint8Array][]>> = {
  dyn: [
    ['__data_loc char[] f', (text) => located(12, text)],
    ['__rel_loc char[] f', (text) => located(0, text)],
    ['__data_loc unsigned char[] f', (text) => located(12, text)],
  ],
  static: [['char[16] f', (text) => Buffer.from(text.padEnd(16, '\0'), 'latin1')]],
};

describe('EventFilter', () => {
  const [texts, ...matches] = RECORDED as [string[], ...[string, string, string, string[]][]];

  test.each(matches)(
    'lets through the texts that the kernel did: %s %s "%s"',
    (place, comparison, value, passed) => {
      for (const [declaration, payloadOf] of PLACES[place] ?? []) {
        const ours = texts.filter((text) =>
          passes(declaration, `f ${comparison} "${value}"`, payloadOf(text)),
        );
        expect({ declaration, ours }).toEqual({ declaration, ours: passed });
      }
    },
  );

  test.each([
    ['u8 f', 'f > 200', [201], true],
    ['s8 f', 'f < 0', [201], true],
    ['u16 f', 'f == 0x0102', [2, 1], true],
    ['int f', 'f == -2', [254, 255, 255, 255], true],
    ['unsigned int f', 'f > 4294967293', [254, 255, 255, 255], true],
    ['u64 f', 'f & 0x8000000000000000', [0, 0, 0, 0, 0, 0, 0, 128], true],
    ['char f', 'f == 65', [65], true],
    ['struct point f 4', 'f == 1', [1, 0, 0, 0], true],
    ['struct point f 3', 'f == 1', [1, 0, 0], false],
    ['struct point f 3', 'f != 1', [2, 0, 0], false],
    ['struct point f 3', '!(f == 1)', [1, 0, 0], true],
    ['__data_loc u8[] f', 'f == 0x1000c', [12, 0, 1, 0, 7], true],
    ['__data_loc cpumask_t f', 'f & CPUS{1}', [12, 0, 8, 0, 2, 0, 0, 0, 0, 0, 0, 0], true],
    ['__data_loc cpumask_t f', 'f == CPUS{0-1}', [12, 0, 8, 0, 2, 0, 0, 0, 0, 0, 0, 0], false],
    ['u8 f; u8 f', 'f == 2', [1, 2], true],
    ['u8 comm', 'comm == 3', [3], true],
    ['u8 f', 'comm == "worker" && common_pid == 42 && cpu == 1', [0], true],
    ['u8 f', 'comm ~ "*ker"', [0], false],
    ['u8 f', 'cpu & 1', [0], false],
    ['u8 f', 'cpu & CPUS{0-1} && f != CPUS{0-1}', [1], true],
    ['u8 f', 'f != CPUS{0-1}', [9], false],
    ['u8 f', 'f != CPUS{1}', [9], true],
  ] as const)('of "%s" takes %s', (declaration, filter, payload, isPassed) => {
    expect(passes(declaration, filter, Uint8Array.from(payload))).toBe(isPassed);
  });

  test.each([
    ['u8 f', 'f == "a"', 'EINVAL', 'Expecting numeric field', 6],
    ['char[4] f', 'f == 1', 'EINVAL', 'Expecting string field', 6],
    ['struct point f 8', 'f ~ "a"', 'EINVAL', 'Expecting numeric field', 5],
    ['u8 f', 'f == CPUS{2}', 'EINVAL', 'Invalid cpulist', 12],
    ['u8 f', 'f == CPUS0', 'EINVAL', "Missing '{'", 10],
    ['u8 f', 'f == CPUS{0', 'EINVAL', "Missing '}'", 11],
    ['char[4] f', 'f == CPUS{0}', 'EINVAL', 'Illegal operation for field type', 6],
  ] as const)('of "%s" refuses %s', (declaration, filter, code, text, position) => {
    const fileText = `${filter}\n${' '.repeat(position)}^\nparse_error: ${text}\n\n`;
    expect(refusal(declaration, filter)).toEqual({ code, fileText });
  });

  test('takes as many parentheses and operators as fit, and none of them overflows the stack', () => {
    const payload = Uint8Array.of(1);
    for (const filter of [
      `${'('.repeat(2000)}f == 1${')'.repeat(2000)}`,
      `${'!('.repeat(1300)}f == 1${')'.repeat(1300)}`,
      `${'!'.repeat(4000)}f == 1`,
      `${'f==1&&f==2||'.repeat(300)}f == 1`,
      `${'(f==2||'.repeat(450)}f==1${')'.repeat(450)}`,
    ])
      expect(passes('u8 f', filter, payload)).toBe(true);
  });
});
