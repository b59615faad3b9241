import { describe, expect, it } from 'vitest';
import { counted, countText, durationInMs, sizeInBytes, sizeText } from './quantities.ts';

describe('sizeInBytes()', () => {
  it.each([
    ['512', 512],
    ['4k', 4096],
    ['64M', 64 * 2 ** 20],
    ['1.5G', 1.5 * 2 ** 30],
    ['2MiB', 2 * 2 ** 20],
  ])('reads %s', (text, bytes) => {
    expect(sizeInBytes(text)).toBe(bytes);
  });

  it.each(['', '0', '-1', '5T', 'many', '1e9', '99999999999999G'])('refuses %j', (text) => {
    expect(() => sizeInBytes(text)).toThrow(/such as 512K, 64M or 2G/);
  });
});

describe('durationInMs()', () => {
  it.each([
    ['10', 10_000],
    ['10s', 10_000],
    ['1.5s', 1500],
    ['250ms', 250],
    ['2m', 120_000],
    ['1h', 3_600_000],
  ])('reads %s', (text, ms) => {
    expect(durationInMs(text)).toBe(ms);
  });

  it.each(['', '0', '0s', '5d', '-3s', '1000h', 's'])('refuses %j', (text) => {
    expect(() => durationInMs(text)).toThrow(/such as 10s, 500ms or 5m/);
  });
});

describe('texts for people', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [3 * 2 ** 30, '3.0 GiB'],
    [5000 * 2 ** 30, '5000.0 GiB'],
  ])('shows %d bytes', (bytes, text) => {
    expect(sizeText(bytes)).toBe(text);
  });

  it('groups digits and finds the plural', () => {
    expect(countText(1_234_567.4)).toBe('1,234,567');
    expect([counted(1, 'event'), counted(0, 'event'), counted(2, 'process', 'processes')]).toEqual([
      '1 event',
      '0 events',
      '2 processes',
    ]);
  });
});
