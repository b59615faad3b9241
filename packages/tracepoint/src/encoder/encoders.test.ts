/** Both encoders against each other, and against abi's readers, over all types of fields and random values. */
import {
  COMMON_FIELDS_SIZE,
  decodeSubBuffer,
  isPayloadValid,
  laneSize,
  lanePagesOffset,
  printEventFields,
  readCommonFields,
  SUB_BUFFER_SIZE,
  validatorsOf,
} from '@usertrace/abi';
import { type LaneOwner, LaneWriter } from '@usertrace/ring';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AnyField, FieldList } from '../arguments.ts';
import { declarationOf, type DeclaredField } from '../declaration.ts';
import * as types from '../field-type.ts';
import { ComposedEncoder, type EncoderClock } from './composed-encoder.ts';
import { generateEncoder } from './generated-encoder.ts';
import { recordPlanOf } from './record-plan.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? Math.trunc(Math.random() * 0x7fff_ffff));
const RUNS = Number(process.env['USERTRACE_RUNS'] ?? 500);
const IDENTITY = { eventId: 1024, tid: 4711 };
const PAGES = 8;
const aside = (): void => undefined;
const NOBODY: LaneOwner = { mayOverwrite: () => true, timePassed: () => undefined };

/** An encoder of an event with a lane and a clock of its own. */
class Rig {
  readonly lane = new LaneWriter(new ArrayBuffer(laneSize(PAGES)), 0, PAGES, NOBODY);
  readonly word: Int32Array = new Int32Array([1]);
  now = 10_000_000_000n;
  /** How much time passes with each look at the clock. */
  stepNs = 0n;
  readonly emit: (...values: unknown[]) => void;

  constructor(fields: readonly DeclaredField[], kind: 'generated' | 'composed') {
    const clock64 = new BigUint64Array(1);
    const clock: EncoderClock = {
      clock64,
      clock32: new Int32Array(clock64.buffer),
      now: () => (this.now += this.stepNs),
    };
    const plan = recordPlanOf(fields);
    const composer = new ComposedEncoder(plan, IDENTITY, clock);
    if (kind === 'generated') {
      this.emit = generateEncoder(plan, IDENTITY, clock, this.lane, this.word, { aside, composer });
    } else {
      this.emit = (...values) => {
        composer.coerce(values);
        composer.write(this.lane, values);
      };
    }
  }

  /** The entries in the lane, the oldest first, with their times. */
  entries(): { timestamp: bigint; entry: Buffer }[] {
    const bytes = this.lane.bytes.subarray(lanePagesOffset(PAGES));
    return Array.from({ length: PAGES }, (_, page) =>
      bytes.subarray(page * SUB_BUFFER_SIZE, (page + 1) * SUB_BUFFER_SIZE),
    ).flatMap((page) =>
      [...decodeSubBuffer(page)].map(({ timestamp, entry }) => ({ timestamp, entry: Buffer.from(entry) })),
    );
  }
}

const wrongValue = fc.constantFrom<unknown>(
  undefined,
  null,
  true,
  'text',
  '12',
  12.7,
  -1n,
  2n ** 70n,
  Symbol('s'),
  {},
  [],
  Number.NaN,
  Number.POSITIVE_INFINITY,
  new Uint16Array([1, 2, 3]),
  new Proxy({}, {}),
  Object.create(null),
  {
    valueOf(): never {
      throw new Error('no value');
    },
    toString(): never {
      throw new Error('no text');
    },
  },
);
const integer = fc.oneof(fc.integer(), fc.double(), fc.integer({ min: 0, max: 2 ** 32 }));
const long = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.maxSafeInteger(),
  fc.double(),
);
const text = fc.oneof(
  fc.string({ unit: 'grapheme-ascii', maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ unit: 'grapheme-ascii', minLength: 90, maxLength: 300 }),
);
const blob = fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ maxLength: 300 }));

const scalarTypes = [types.u8, types.u16, types.u32, types.s8, types.s16, types.s32, types.int, types.uint];
const otherScalars = [types.short, types.ushort, types.char, types.uchar];
const anyField: fc.Arbitrary<AnyField> = fc.oneof(
  fc.constantFrom<AnyField>(...scalarTypes, ...otherScalars, types.u64, types.s64, types.f64),
  fc.constantFrom<AnyField>(types.str, types.bytes, types.dataLoc('char[]'), types.relLoc('u32[]')),
  fc.integer({ min: 1, max: 60 }).map((size) => types.chars(size)),
  fc.integer({ min: 1, max: 60 }).map((size) => types.byteArray(size)),
  fc.integer({ min: 1, max: 60 }).map((size) => types.struct('point', size)),
);

function valueFor({ storage }: AnyField): fc.Arbitrary<unknown> {
  const right = {
    integer,
    long,
    double: fc.double(),
    text,
    blob,
    'fixed-text': text,
    'fixed-blob': blob,
  }[storage] as fc.Arbitrary<unknown>;
  return fc.oneof({ weight: 12, arbitrary: right }, { weight: 1, arbitrary: wrongValue });
}

const anyEvent = fc.array(anyField, { maxLength: 7 }).chain((fields) =>
  fc.record({
    fields: fc.constant(fields.map((field, index) => [`f${index}`, field] as const)),
    calls: fc.array(fc.tuple(fc.tuple(...fields.map(valueFor)), fc.integer({ min: 0, max: 2 ** 33 })), {
      minLength: 1,
      maxLength: 12,
    }),
  }),
);

/** What a field of an entry says, in the way that abi's layout tells any reader. */
function valueIn(entry: Buffer, { field, storage }: DeclaredField): unknown {
  const { offset, size, type } = field;
  if (storage === 'integer') return entry.readUIntLE(offset, size);
  if (storage === 'long') return entry.readBigUInt64LE(offset);
  if (storage === 'double') return entry.readDoubleLE(offset);
  if (storage === 'fixed-text' || storage === 'fixed-blob') return entry.subarray(offset, offset + size);
  const start = entry.readUInt16LE(offset) + (type.startsWith('__rel_loc') ? offset + 4 : 0);
  const length = entry.readUInt16LE(offset + 2);
  return entry.subarray(start, start + length);
}

/** What it should say; undefined for values of wrong types, of which nothing is promised but that they do no harm. */
function expectedOf({ field, storage }: DeclaredField, value: unknown): unknown {
  if (storage === 'integer' && typeof value === 'number') {
    return Number.isFinite(value) ? Number(BigInt.asUintN(field.size * 8, BigInt(Math.trunc(value)))) : 0;
  }
  if (storage === 'long' && typeof value === 'bigint') return BigInt.asUintN(64, value);
  if (storage === 'long' && typeof value === 'number') {
    return Number.isFinite(value) ? BigInt.asUintN(64, BigInt(Math.trunc(value))) : 0n;
  }
  if (storage === 'double' && typeof value === 'number') return value;
  if (storage === 'text' && typeof value === 'string') return Buffer.from(`${value}\0`);
  if (storage === 'blob' && value instanceof Uint8Array) return Buffer.from(value);
  if (storage === 'fixed-blob' && value instanceof Uint8Array) {
    return Buffer.concat([value, Buffer.alloc(field.size)]).subarray(0, field.size);
  }
  if (storage === 'fixed-text' && typeof value === 'string') {
    const fixed = Buffer.alloc(field.size);
    fixed.write(value);
    return fixed;
  }
  return undefined;
}

describe(`the encoders (USERTRACE_SEED=${SEED})`, () => {
  it('write all values of all types so that readers find them, both the same bytes', () => {
    fc.assert(
      fc.property(anyEvent, ({ fields, calls }) => {
        const { fields: declared } = declarationOf('event', fields as FieldList);
        const generated = new Rig(declared, 'generated');
        const composed = new Rig(declared, 'composed');
        const times: bigint[] = [];
        for (const [values, passed] of calls) {
          generated.now += BigInt(passed);
          composed.now += BigInt(passed);
          times.push(generated.now);
          generated.emit(...values);
          composed.emit(...values);
        }
        const entries = generated.entries();
        expect(entries.map(({ timestamp }) => timestamp)).toEqual(times);
        expect(entries).toEqual(composed.entries());
        const eventFields = declared.map(({ field }) => field);
        entries.forEach(({ entry }, index) => {
          expect(readCommonFields(entry)).toEqual({ type: 1024, flags: 0, preemptCount: 0, pid: 4711 });
          expect(isPayloadValid(validatorsOf(eventFields), entry, COMMON_FIELDS_SIZE, 1024, 4711)).toBe(true);
          // The kernel's own printing takes a struct's bytes for a place in the record.
          const printable = eventFields.filter(({ type }) => !type.startsWith('struct'));
          expect(printEventFields('event', printable, entry)).not.toContain('<OVERFLOW>');
          declared.forEach((field, place) => {
            const expected = expectedOf(field, calls[index]?.[0][place]);
            if (expected !== undefined) expect(valueIn(entry, field)).toEqual(expected);
          });
        });
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });

  it('cut what no page holds, texts between characters', () => {
    const { fields } = declarationOf('event', { a: types.str, b: types.bytes, c: types.str, d: types.u32 });
    for (const kind of ['generated', 'composed'] as const) {
      for (const [a, b, c] of [
        ['ä'.repeat(5000), new Uint8Array(9), 'end'],
        ['x'.repeat(4047), new Uint8Array(5000), 'end'],
        ['', new Uint8Array(5000).fill(7), 'e'.repeat(100)],
        ['€'.repeat(1000), new Uint8Array(500).fill(7), '😀'.repeat(400)],
      ] as const) {
        const rig = new Rig(fields, kind);
        rig.emit(a, b, c, 77);
        const { entry } = rig.entries()[0] as { entry: Buffer };
        const [textA, blobB, textC, numberD] = fields.map((field) => valueIn(entry, field)) as Buffer[];
        expect(numberD).toBe(77);
        for (const [stored, given] of [
          [textA, a],
          [textC, c],
        ] as const) {
          expect(stored?.at(-1)).toBe(0);
          expect(
            given.startsWith((stored as Buffer).toString('utf8', 0, (stored as Buffer).length - 1)),
          ).toBe(true);
        }
        expect(Buffer.from(b.subarray(0, blobB?.length)).equals(blobB as Buffer)).toBe(true);
        expect(entry.length).toBeGreaterThan(3900);
      }
    }
  });

  it('begin each page with a record and not with an extended time, however long a text takes', () => {
    // Readers (trace-cmd 3.1) show losses before a page only when its first record follows at once.
    const rig = new Rig(declarationOf('texts', { text: types.str }).fields, 'generated');
    rig.stepNs = 200_000_000n;
    for (let index = 0; index < 400; index++) rig.emit(`ä${index}`);
    const pages = rig.lane.bytes.subarray(lanePagesOffset(PAGES));
    const typeOfFirst = (page: number): number => (pages[page * SUB_BUFFER_SIZE + 16] as number) & 31;
    for (let page = 0; page < PAGES; page++) expect(typeOfFirst(page)).toBeLessThan(29);
    const steps = rig.entries().map(({ timestamp }) => Number(timestamp));
    for (const [index, time] of steps.slice(1).entries())
      expect(time).toBeGreaterThan(steps[index] as number);
  });

  it('write nothing when no session wants the event', () => {
    const rig = new Rig(declarationOf('event', { a: types.str }).fields, 'generated');
    rig.word[0] = 0;
    rig.emit('x');
    expect(rig.entries()).toEqual([]);
  });

  it('let values emit the same event while they are made, in the order in which they are done', () => {
    const rig = new Rig(declarationOf('event', { a: types.str, b: types.u32 }).fields, 'generated');
    const nested = {
      toString(): string {
        rig.emit('inner', 1);
        return 'outer';
      },
    };
    rig.emit(nested, 2);
    expect(rig.entries().map(({ entry }) => entry.readUInt32LE(12))).toEqual([1, 2]);
  });
});
