/** Sizes, durations and counts as users type them and read them. */

import { InvalidArgumentError } from 'commander';

const BYTES_BY_UNIT: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };
const MS_BY_UNIT: Readonly<Record<string, number>> = { ms: 1, '': 1000, s: 1000, m: 60_000, h: 3_600_000 };
/** The longest time that a timer takes, in milliseconds. */
const DURATION_MAX_MS = 2 ** 31 - 1;

/**
 * Reads a size: a number with K, M or G (of 1024), such as `64M`.
 *
 * @returns bytes
 * @throws {InvalidArgumentError} for anything else
 */
export function sizeInBytes(text: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([kmg]?)(?:i?b)?$/i.exec(text) ?? [];
  const bytes = Number(number) * (BYTES_BY_UNIT[unit.toLowerCase()] ?? Number.NaN);
  if (!(bytes >= 1) || !Number.isSafeInteger(Math.round(bytes))) {
    throw new InvalidArgumentError('It must be a size such as 512K, 64M or 2G.');
  }
  return Math.round(bytes);
}

/**
 * Reads a duration: seconds, or a number with ms, s, m or h, such as `1.5s`.
 *
 * @returns milliseconds
 * @throws {InvalidArgumentError} for anything else
 */
export function durationInMs(text: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)(ms|[smh]?)$/.exec(text) ?? [];
  const ms = Number(number) * (MS_BY_UNIT[unit] ?? Number.NaN);
  if (!(ms > 0) || ms > DURATION_MAX_MS) {
    throw new InvalidArgumentError('It must be a time such as 10s, 500ms or 5m.');
  }
  return ms;
}

/** A size for people, such as `1.5 MiB`. */
export function sizeText(bytes: number): string {
  let amount = bytes;
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (amount < 1024 || unit === 'GiB') return `${unit === 'B' ? amount : amount.toFixed(1)} ${unit}`;
    amount /= 1024;
  }
  return `${bytes} B`;
}

/** A count for people, such as `1,234,567`. */
export function countText(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}

/** A count and what is counted, such as `1 event` or `2 events`. */
export function counted(count: number, what: string, plural = `${what}s`): string {
  return `${countText(count)} ${count === 1 ? what : plural}`;
}
