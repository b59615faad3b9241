/**
 * What trampolines read of memory that is there, is not there, ends, or comes and goes: the same as a thread that stands still, and the
 * program never notices.
 */
import { spawnSync } from 'node:child_process';
import {
  CounterClock,
  fetchValue,
  LanesReader,
  LONG_TEXTS_SIZE,
  type ProbeDefinition,
  RecordEncoder,
  slotLayout,
  slotValues,
} from '@usertrace/uprobes';
import { Registers } from '@usertrace/abi';
import { describe, expect, it } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { missing } from '../support/requirements.ts';
import { definitionOf } from './fetch-arguments.ts';
import { FUNCTION, laneShape, LANES, numbers, PAGE, segmentBytes, segmentsOf } from './probed-function.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);
const ARENA = 0x1_0000_0000;
const PAGES = 48;
const SLOT_COUNT_SHIFT = 11;
/** Of tests/programs/copy-run.c. */
const STATE = { stays: 0, gone: 1, forbidden: 2, comesAndGoes: 3 } as const;

/** Definitions of which the words read at %di, and through a pointer there at %si. */
const WORD_SETS = [
  'text=+0(%di):string pointer=%di number=%si',
  'a=+0(%di):u8 b=+0(%di):x16 c=+1(%di):s32 d=+3(%di):u64 e=+0(%di):x8[13] f=-5(%di):u16[9] g=+0(%di):s64[64]',
  'text=+0(+0(%si)):string number=+0(+0(%si)):u32 deep=+8(+0(+0(%si))):x64 again=+7(%di):string',
  'texts=+0(%si):string[5] text=+0(%di):string more=+8(%si):ustring[2]',
  'one=+0(%di):string two=+1(%di):string three=+100(%di):string four=+0(%di):x8[64] bits=+0(%di):b7@3/32',
  'letters=+0(%di):char[9] name=$comm top=+0(%di):b1@63/64 far=+0x7000000000000000(%di):u8 low=@0x10:string',
];

interface Arena {
  readonly bytes: Buffer;
  readonly states: Buffer;
}

interface Case {
  readonly di: bigint;
  readonly si: bigint;
}

interface Run {
  readonly signal: NodeJS.Signals | null;
  readonly status: number | null;
  /** Of each case, how many bytes the kernel reads from its first address on. */
  readonly readable: number[];
  readonly slots: Buffer[];
  readonly lost: number;
}

function randomNumbers(seed: number): (end: number) => number {
  let state = BigInt(seed) + 1n;
  return (end) => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
    return Number((state >> 33n) % BigInt(end));
  };
}

/** Texts of all lengths, pointers among them, and pages in all states. */
function randomArena(below: (end: number) => number, absent: readonly number[]): Arena {
  const bytes = Buffer.alloc(PAGES * PAGE);
  for (let at = 0; at < bytes.length; at++) bytes[at] = 1 + below(255);
  const marks = 8 + below(200);
  for (let mark = 0; mark < marks; mark++) bytes[below(bytes.length)] = 0;
  for (let pointer = 0; pointer < 400; pointer++)
    bytes.writeBigUInt64LE(randomAddress(below), below(bytes.length / 8 - 1) * 8);
  const states = Buffer.from(
    Array.from({ length: PAGES }, () => (below(3) === 0 ? (absent[below(absent.length)] ?? 0) : STATE.stays)),
  );
  return { bytes, states };
}

function randomAddress(below: (end: number) => number): bigint {
  const kind = below(10);
  if (kind === 0) return BigInt(below(PAGE));
  if (kind === 1) return BigInt.asUintN(64, -BigInt(below(2 * PAGE)));
  // Where no program has anything.
  if (kind === 2) return (1n << BigInt(48 + below(16))) - BigInt(below(9));
  const page = BigInt(ARENA + below(PAGES + 1) * PAGE);
  return kind < 6 ? page + BigInt(below(40) - 20) : page + BigInt(below(PAGE));
}

/** @param certain offsets in the arena between which its pages stay */
function run(
  definition: ProbeDefinition,
  { bytes, states }: Arena,
  cases: readonly Case[],
  changers: number,
  certain: readonly { readonly start: number; readonly end: number }[],
): Run {
  const { size, textCount } = slotLayout(definition.arguments);
  const usual = laneShape(size, SLOT_COUNT_SHIFT, 0);
  const long = laneShape(LONG_TEXTS_SIZE, SLOT_COUNT_SHIFT, 0);
  const longAt = 2 ** usual.laneSizeShift;
  const lanesSize = longAt + (textCount > 0 ? 2 ** long.laneSizeShift : 0);
  const segments = segmentsOf({
    probes: [
      {
        arguments: definition.arguments,
        lanes: { ...usual, address: LANES },
        ...(textCount > 0 ? { longTextLanes: { ...long, address: LANES + longAt } } : {}),
      },
    ],
    gates: [77],
    lanesSize,
    certainMemory: certain.map(({ start, end }) => ({ start: ARENA + start, end: ARENA + end })),
  });
  const rounds = changers === 0 ? 1 : Math.floor((2 ** SLOT_COUNT_SHIFT - 128) / cases.length);
  const clock = new CounterClock();
  const done = spawnSync(cProgram('tests/programs/copy-run.c'), {
    input: Buffer.concat([
      numbers(segments.length, FUNCTION, ARENA, PAGES, changers, rounds, cases.length, LANES, lanesSize),
      segmentBytes(segments),
      bytes,
      states,
      ...cases.map(({ di, si }) => numbers(di, si)),
    ]),
    maxBuffer: 1 << 30,
    timeout: 120_000,
  });
  const { status, signal, stdout } = done;
  if (status !== 0) return { status, signal, readable: [], slots: [], lost: 0 };
  const memory = new ArrayBuffer(lanesSize);
  new Uint8Array(memory).set(stdout.subarray(cases.length * 8));
  const sets = [{ ...usual, offset: 0 }, ...(textCount > 0 ? [{ ...long, offset: longAt }] : [])];
  const slots: Buffer[] = [];
  const { lost } = new LanesReader(memory, sets, clock).drain(({ slot }) => slots.push(slot));
  const readable = cases.map((_, index) => Number(stdout.readBigUInt64LE(index * 8)));
  return { status, signal, readable, slots, lost };
}

/** What the arena has at an address, as far as memory goes on from there. */
function readArena({ bytes, states }: Arena, address: bigint, size: number): Buffer | undefined {
  const from = Number(BigInt.asIntN(64, address)) - ARENA;
  let end = from;
  while (
    end < from + size &&
    end >= 0 &&
    end < bytes.length &&
    states[Math.floor(end / PAGE)] === STATE.stays
  )
    end = Math.min(from + size, (Math.floor(end / PAGE) + 1) * PAGE);
  return end > from ? bytes.subarray(from, end) : undefined;
}

function recordOf(definition: ProbeDefinition, arena: Arena, { di, si }: Case): Buffer {
  const registers = new Registers();
  registers.set('rdi', di);
  registers.set('rsi', si);
  const port = {
    registers,
    comm: 'copy-run',
    addressOf: () => undefined,
    read: (address: bigint, size: number) => readArena(arena, address, size),
  };
  const encoder = new RecordEncoder(definition);
  const values = definition.arguments.map((argument) => fetchValue(argument, port));
  return Buffer.from(encoder.bytes.subarray(0, encoder.encodeValues([BigInt(FUNCTION)], values)));
}

function slotRecord(definition: ProbeDefinition, slot: Buffer): Buffer {
  const encoder = new RecordEncoder(definition);
  return Buffer.from(encoder.bytes.subarray(0, encoder.encodeSlot([BigInt(FUNCTION)], slot)));
}

/** The longest stretch of pages that stay, less some bytes at its ends. */
function certainOf({ states }: Arena, below: (end: number) => number): { start: number; end: number }[] {
  let best = { from: 0, to: 0 };
  for (let from = 0; from < PAGES; from++) {
    let to = from;
    while (to < PAGES && states[to] === STATE.stays) to += 1;
    if (to - from > best.to - best.from) best = { from, to };
  }
  const end = best.to * PAGE - below(30);
  return [
    { start: best.from * PAGE + below(30), end: end - 50 },
    { start: end - 40, end },
  ];
}

function randomCases(below: (end: number) => number, count: number): Case[] {
  const address = (): bigint => randomAddress(below);
  return Array.from({ length: count }, () => ({ di: address(), si: address() & ~7n }));
}

describe.skipIf(missing('cc') !== undefined)(`memory in trampolines (USERTRACE_SEED=${SEED})`, () => {
  it.for(WORD_SETS)('is what the kernel reads, whatever is mapped: %s', (words) => {
    const below = randomNumbers(SEED);
    const definition = definitionOf(words);
    for (let round = 0; round < 4; round++) {
      const arena = randomArena(below, [STATE.gone, STATE.forbidden]);
      const cases = randomCases(below, 1000);
      const certain = round % 2 === 0 ? [] : certainOf(arena, below);
      const { status, signal, readable, slots, lost } = run(definition, arena, cases, 0, certain);
      expect({ status, signal, lost, hits: slots.length }).toEqual({
        status: 0,
        signal: null,
        lost: 0,
        hits: 1000,
      });
      for (const [index, one] of cases.entries()) {
        // Our idea of the arena is the kernel's.
        const there = readArena(arena, one.di, 2 * PAGE)?.length ?? 0;
        if (there > 0) expect(Math.min(readable[index] ?? 0, 2 * PAGE)).toBe(there);
        const made = slotRecord(definition, slots[index] ?? Buffer.alloc(0));
        const expected = recordOf(definition, arena, one);
        if (!made.equals(expected))
          expect({ round, index, one, record: made.toString('hex') }).toEqual({
            round,
            index,
            one,
            record: expected.toString('hex'),
          });
      }
    }
  });

  it('that other threads take away meanwhile is read whole or not, and the program runs on', () => {
    const below = randomNumbers(SEED);
    const definition = definitionOf('text=+0(%di):string number=+0(%di):x64 bytes=+3(%di):x8[40]');
    const arena = randomArena(below, [STATE.comesAndGoes]);
    const whole = { ...arena, states: Buffer.alloc(PAGES, STATE.stays) };
    const cases = randomCases(below, 200);
    const { status, signal, slots, lost } = run(definition, arena, cases, 2, certainOf(arena, below));
    expect({ status, signal, lost, isSome: slots.length > 1500 }).toEqual({
      status: 0,
      signal: null,
      lost: 0,
      isSome: true,
    });
    let wholeCount = 0;
    for (const [index, slot] of slots.entries()) {
      const { di } = cases[index % cases.length] as Case;
      const [text, number, bytes] = slotValues(definition.arguments, slot);
      const [known, knownNumber, knownBytes] = valuesAt(definition, whole, di);
      if (text !== undefined) expect(text).toBe(known);
      if (text !== undefined && text === known) wholeCount += 1;
      // The bytes before a missing page, and zeros.
      expectPrefix(number, knownNumber);
      const isPrefix = (bytes as bigint[] | undefined)?.every(
        (byte, item) => byte === 0n || byte === (knownBytes as bigint[] | undefined)?.[item],
      );
      expect(isPrefix ?? true).toBe(true);
    }
    expect(wholeCount).toBeGreaterThan(0);
  });
});

function valuesAt(definition: ProbeDefinition, arena: Arena, di: bigint): ReturnType<typeof fetchValue>[] {
  const registers = new Registers();
  registers.set('rdi', di);
  const port = {
    registers,
    comm: '',
    addressOf: () => undefined,
    read: (address: bigint, size: number) => readArena(arena, address, size),
  };
  return definition.arguments.map((argument) => fetchValue(argument, port));
}

function expectPrefix(value: unknown, known: unknown): void {
  if (value === undefined) return;
  const prefixes = Array.from({ length: 8 }, (_, count) => BigInt.asUintN(8 * (count + 1), known as bigint));
  expect(prefixes).toContain(value);
}
