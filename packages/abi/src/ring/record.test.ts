import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ENTRY_MAX, RecordCursor, decodeSubBuffer, recordLength } from './record.ts';
import { SUB_BUFFER_HEADER_SIZE, SUB_BUFFER_SIZE, readSubBufferHeader, sealSubBuffer } from './sub-buffer.ts';

/** A sub-buffer with these words as data. */
function subBuffer(words: readonly number[], timestamp = 1000n): Uint8Array {
  const bytes = new Uint8Array(SUB_BUFFER_SIZE);
  const view = new DataView(bytes.buffer);
  for (const [index, word] of words.entries()) view.setUint32(SUB_BUFFER_HEADER_SIZE + 4 * index, word, true);
  sealSubBuffer(bytes, timestamp, 4 * words.length, 0);
  return bytes;
}

const header = (typeLength: number, delta: number): number => ((delta << 5) | typeLength) >>> 0;
const decoded = (bytes: Uint8Array): [bigint, number][] =>
  [...decodeSubBuffer(bytes)].map(({ timestamp, entry }) => [timestamp, entry.length]);

describe('recordLength()', () => {
  test.each([
    ['no entry', 0, 8],
    ['one word', 4, 8],
    ['5 to 8 bytes take 16, never 12', 5, 16],
    ['the common fields alone', 8, 16],
    ['a word more', 9, 16],
    ['the longest small entry', 112, 116],
    ['the shortest entry with a length word', 113, 124],
    ['the longest entry', ENTRY_MAX, 4080],
  ])("is the kernel's for %s", (_, entryLength, expected) => {
    expect(recordLength(entryLength)).toBe(expected);
  });
});

describe('decodeSubBuffer()', () => {
  test('adds deltas to the timestamp', () => {
    expect(decoded(subBuffer([header(1, 5), 0, header(2, 7), 0, 0]))).toEqual([
      [1005n, 4],
      [1012n, 8],
    ]);
  });

  test('reads a length of its own in front of a big entry', () => {
    expect(decoded(subBuffer([header(0, 1), 4 + 120, ...Array.from({ length: 30 }, () => 0)]))).toEqual([
      [1001n, 120],
    ]);
  });

  test('adds a time extend to the delta that follows', () => {
    expect(decoded(subBuffer([header(30, 3), 2, header(1, 4), 0]))).toEqual([[1000n + 2n ** 28n + 7n, 4]]);
  });

  test('takes an absolute time with the upper bits of the timestamp', () => {
    const timestamp = 2n ** 60n + 10n;
    expect(decoded(subBuffer([header(31, 99), 1, header(1, 1), 0], timestamp))).toEqual([
      [2n ** 60n + 2n ** 27n + 100n, 4],
    ]);
  });

  test('skips a record that was taken back, and counts no time for it', () => {
    expect(decoded(subBuffer([header(29, 50), 8, 0, header(1, 2), 0]))).toEqual([[1002n, 4]]);
  });

  test('ends at padding without a delta', () => {
    expect(decoded(subBuffer([header(1, 1), 0, header(29, 0), 0, header(1, 2), 0]))).toEqual([[1001n, 4]]);
  });

  test.each([
    ['an entry that leaves the sub-buffer', [header(28, 1), 0]],
    ['a length word that leaves it', [header(0, 1), 0xffff_fff0]],
    ['a length word that is too small', [header(0, 1), 0, 0]],
    ['a padding that leaves it', [header(29, 1), 0xffff_fff0, 0]],
    ['half a time extend', [header(30, 1)]],
  ])('ends at %s', (_, words) => {
    expect(decoded(subBuffer(words))).toEqual([]);
  });

  const seed = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);
  test(`stays inside any bytes (seed ${seed})`, () => {
    const nearlyRecords = fc.array(fc.oneof(fc.nat({ max: 31 }), fc.nat({ max: 2 ** 31 - 1 })), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(nearlyRecords, fc.nat({ max: 0xffff }), (words, commit) => {
        const bytes = subBuffer(words);
        new DataView(bytes.buffer).setUint32(8, commit, true);
        const { dataLength } = readSubBufferHeader(bytes);
        let total = 0;
        for (const { entry } of decodeSubBuffer(bytes)) {
          expect(entry.byteOffset + entry.length).toBeLessThanOrEqual(SUB_BUFFER_HEADER_SIZE + dataLength);
          total += entry.length;
        }
        expect(total).toBeLessThanOrEqual(dataLength);
      }),
      { seed, numRuns: 2000 },
    );
  });
});

describe('RecordCursor', () => {
  test('goes on after more was committed', () => {
    const bytes = subBuffer([header(1, 5), 0, header(30, 0), 1, header(1, 7), 0]);
    const cursor = new RecordCursor(new DataView(bytes.buffer));
    expect(cursor.advance(24)).toBe(true);
    expect(cursor.advance(24)).toBe(false);
    expect(cursor.advance(32)).toBe(false);
    expect(cursor.advance(40)).toBe(true);
    expect(cursor.elapsedNs).toBe(5 + 2 ** 27 + 7);
  });
});
