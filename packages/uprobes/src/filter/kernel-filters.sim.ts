/**
 * Asks the running kernel what it says to filters of a probe's event, which is never enabled: errno, and what the `filter` file
 * shows. And filters that are nearly right, the same for the same seed.
 */

import { closeSync, constants, existsSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { random } from '../definition/damaged-definitions.sim.ts';
import { inTurn } from '../definition/tracefs-turn.sim.ts';

const TRACEFS = '/sys/kernel/tracing';

/** The event's arguments: numbers of all kinds, texts and arrays. */
export const FILTERED_ARGUMENTS =
  'i=%di:s64 u=%di:u8 h=%di:x16 s=+0(%si):string a=+0(%dx):s8 arr=+40(%dx):u8[4] sts=+16(%dx):string[2] bf=%di:b4@8/32 ch=%di:char n=%di:s32 us=%di:u64 long=+0(%dx):u8[16]';

/** The answer to a filter: the error's name if it was refused, and what the file shows. */
export type FilterAnswer = readonly [filter: string, errno: string | undefined, shown: string];

/** Has the kernel answer filters. What was made for it is gone afterwards. */
export function askAboutFilters(filters: readonly string[]): FilterAnswer[] {
  const definition = `p:usertrace_filters_${process.pid}/ev ${process.execPath}:0x1000 ${FILTERED_ARGUMENTS}`;
  append(`${TRACEFS}/uprobe_events`, definition);
  try {
    const file = `${TRACEFS}/events/usertrace_filters_${process.pid}/ev/filter`;
    return filters.map((filter) =>
      inTurn(() => {
        append(file, '0');
        const errno = append(file, filter);
        return [filter, errno, readFileSync(file, 'latin1')];
      }),
    );
  } finally {
    append(`${TRACEFS}/uprobe_events`, `-:usertrace_filters_${process.pid}/ev`);
  }
}

/** Whether there is a kernel to ask, and we may. */
export function canAskAboutFilters(): boolean {
  return existsSync(`${TRACEFS}/uprobe_events`) && append(`${TRACEFS}/uprobe_events`, '\n') === undefined;
}

function append(path: string, text: string): string | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_WRONLY | constants.O_APPEND);
    writeSync(file, Buffer.from(text, 'latin1'));
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

const NUMBERS = [
  '0',
  '1',
  '-1',
  '0x10',
  '017',
  '255',
  '256',
  '4294967296',
  '-5',
  '08',
  '1a',
  '99999999999999999999',
];
/** Those that depend on how many CPUs there are have a place in the hand-written ones. */
const CPU_LISTS = [
  'CPUS{0}',
  'CPUS{0,}',
  'CPUS{}',
  'CPUS{',
  'CPUS0}',
  'CPUS{all}',
  'CPUS{N:1/2}',
  'CPUS{0 ,0}',
  'CPUS{0-0:2/3}',
  'CPUS{1-0}',
];
const TEXTS = ['"abc"', "'abc'", '"a*"', '""', '"a b"', '"(x"', '"&&"', '"[a-c]?"'];
const NUMBER_FIELDS = [
  'i',
  'u',
  'h',
  'a',
  'arr',
  'bf',
  'ch',
  'n',
  'us',
  'long',
  '__probe_ip',
  'common_pid',
  'cpu',
];
const TEXT_FIELDS = ['s', 'sts', 'comm', 'COMM'];
const PIECES = [
  '(',
  ')',
  '!',
  '&',
  '|',
  '=',
  '<',
  '>',
  '~',
  '"',
  "'",
  ' ',
  '-',
  'x',
  '0',
  '9',
  '.',
  ',',
  '_',
  'nosuch',
  '\xe9',
  '\xa0',
  '\t',
  '.ustring',
];

/**
 * Filters that are nearly right.
 *
 * @param seed the same seed makes the same filters
 * @param count how many
 */
export function damagedFilters(seed: number, count: number): string[] {
  const below = random(seed);
  const one = (texts: readonly string[]): string => texts[below(texts.length)] as string;
  const space = (): string => one(['', ' ', ' ', '  ']);
  const comparison = (): string =>
    below(3) === 0
      ? `${one(TEXT_FIELDS)}${space()}${one(['==', '!=', '~', '~', '<'])}${space()}${one(TEXTS)}`
      : `${one(NUMBER_FIELDS)}${space()}${one(['==', '!=', '<', '<=', '>', '>=', '&'])}${space()}${one(below(6) === 0 ? CPU_LISTS : NUMBERS)}`;
  const expression = (depth: number): string => {
    const kind = depth === 0 ? 0 : below(5);
    if (kind <= 1) return comparison();
    if (kind === 2) return `!${space()}(${space()}${expression(depth - 1)})`;
    if (kind === 3) return `(${expression(depth - 1)}${space()}||${space()}${expression(depth - 1)})`;
    return `${expression(depth - 1)}${space()}&&${space()}${expression(depth - 1)}`;
  };
  return Array.from({ length: count }, () => {
    let text = expression(3);
    for (let damage = below(4); damage > 0; damage--) {
      const at = below(text.length + 1);
      const insertion = below(3) === 0 ? '' : one(PIECES);
      text = text.slice(0, at) + insertion + text.slice(at + (below(2) === 0 ? 1 : 0));
    }
    return text;
  });
}

/** Stores answers, one a line. */
export function writeAnswers(path: string, answers: readonly FilterAnswer[]): void {
  writeFileSync(
    path,
    answers.map(([filter, errno, shown]) => `${JSON.stringify([filter, errno ?? null, shown])}\n`).join(''),
  );
}

/** Reads what writeAnswers() stored. */
export function readAnswers(path: string): FilterAnswer[] {
  return readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [filter, errno, shown] = JSON.parse(line) as [string, string | null, string];
      return [filter, errno ?? undefined, shown];
    });
}
