import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FetchedValue } from '../breakpoint/fetching.ts';
import { parseDefinition, type ProbeDefinition } from '../definition/definition.ts';
import { slotValues } from '../jump/slot-values.ts';
import { random } from '../definition/damaged-definitions.sim.ts';
import { SLOT } from '../trampoline/lane-layout.ts';
import { slotLayout, TEXT_WORD } from '../trampoline/slot-layout.ts';
import { RECORD_SIZE_MAX, RecordEncoder } from './record-encoder.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);
const RUNS = Number(process.env['USERTRACE_RUNS'] ?? 300);

function definitionOf(words: string, start = 'p'): ProbeDefinition {
  const definition = parseDefinition(`${start}:g/e /bin/x:0x10 ${words}`, {
    look: () => ({ kind: 'regular', identity: '' }),
  });
  if (definition === undefined) throw new Error('no definition');
  return definition;
}

/** The record of some values, as bytes. */
function recordOf(words: string, values: readonly FetchedValue[], addresses = [0x40_1136n]): Buffer {
  const encoder = new RecordEncoder(definitionOf(words));
  const length = encoder.encodeValues(addresses, values);
  return Buffer.from(encoder.bytes.subarray(0, length));
}

describe('RecordEncoder', () => {
  it('puts a hit down as the kernel does', () => {
    const words = 'a=%di:s64 b=%di:u8 s=+0(%si):string t=+0(%si):string l=+0(%si):string[2] c=%di:s16';
    const record = recordOf(words, [-2n, 254n, 'text', undefined, ['one', undefined], -2n]);
    // Common fields, address, numbers; a location is the place and, in the upper half, the length with NUL.
    expect(
      record
        .toString('hex')
        .replaceAll(/(.{2})/g, '$1 ')
        .trim(),
    ).toBe(
      [
        '00 00 00 00 00 00 00 00 36 11 40 00 00 00 00 00',
        'fe ff ff ff ff ff ff ff fe 2b 00 05 00 30 00 00 00',
        '30 00 04 00 34 00 00 00 fe ff',
        '74 65 78 74 00 6f 6e 65 00',
      ].join(' '),
    );
  });

  it('has both addresses of a return', () => {
    const encoder = new RecordEncoder(definitionOf('v=$retval:x32', 'r'));
    expect(encoder.encodeValues([0x1111n, 0x2222n], [7n])).toBe(28);
    const record = Buffer.from(encoder.bytes);
    expect([8, 16].map((at) => record.readBigUInt64LE(at))).toEqual([0x1111n, 0x2222n]);
    expect(record.readUInt32LE(24)).toBe(7);
  });

  it('cuts a text that has no room, and leaves out those behind it', () => {
    const record = recordOf('a=+0(%si):string b=+0(%si):string', ['x'.repeat(5000), 'y']);
    expect(record).toHaveLength(RECORD_SIZE_MAX);
    expect(record.readUInt16LE(16)).toBe(24);
    expect(record.readUInt16LE(18)).toBe(RECORD_SIZE_MAX - 24);
    expect(record[RECORD_SIZE_MAX - 1]).toBe(0);
    expect(record.readUInt16LE(22)).toBe(0);
  });

  it('has no record for what fits no page', () => {
    const words = Array.from({ length: 9 }, (_, index) => `a${index}=+0(%di):x64[64]`).join(' ');
    expect(recordOf(words, [])).toHaveLength(0);
  });

  it(`makes the same of a slot as of the values in it (USERTRACE_SEED=${SEED})`, () => {
    const words = fc.constantFrom(
      '%di:s8',
      '%di:u16',
      '%di:x32',
      '%di:u64',
      '%di:char',
      '%di:b4@8/32',
      '%di:b17@3/64',
      '+0(%si):s32',
      '+0(%si):u8[7]',
      '+0(%si):x64[3]',
      '+0(%si):s16[5]',
      '+0(%si):string',
      '+0(%si):string[3]',
      '$comm',
      '\\-5:s32',
      '$stack0:u16',
    );
    fc.assert(
      fc.property(
        fc.array(words, { maxLength: 12 }),
        fc.nat(2 ** 31),
        fc.bigInt(0n, 0xfffn),
        (list, slotSeed, faults) => {
          const definition = definitionOf(list.map((word, index) => `a${index}=${word}`).join(' '));
          const { places, size } = slotLayout(definition.arguments);
          const below = random(slotSeed);
          const slot = Buffer.from(Array.from({ length: size + 8 }, () => below(256)));
          slot.writeBigUInt64LE(faults, SLOT.faults);
          for (const { argument, offset, size: bytes } of places) {
            if (!argument.type.basic.isText) continue;
            const wordCount = argument.source.kind === 'comm' ? 1 : bytes / TEXT_WORD.size;
            for (let word = 0; word < wordCount; word++) {
              const at = offset + word * TEXT_WORD.size;
              // What a program writes there may be anything.
              slot.writeUInt32LE(below(4) === 0 ? below(2 ** 31) : below(size), at + TEXT_WORD.offset);
              slot.writeInt32LE(below(300) - 20, at + TEXT_WORD.length);
            }
          }
          const encoder = new RecordEncoder(definition);
          const length = encoder.encodeSlot([0x1000n], slot);
          const ofSlot = Buffer.from(encoder.bytes.subarray(0, length));
          const valueLength = encoder.encodeValues([0x1000n], slotValues(definition.arguments, slot));
          expect(ofSlot.equals(encoder.bytes.subarray(0, valueLength))).toBe(true);
        },
      ),
      { seed: SEED, numRuns: RUNS },
    );
  });
});
