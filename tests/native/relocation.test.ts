import { spawnSync } from 'node:child_process';
import { type CodeInstruction, makeTrampoline, relocateAll, UnmovableInstruction } from '@usertrace/uprobes';
import { describe as suite, expect, it } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { missing } from '../support/requirements.ts';
import { fetchArguments } from './fetch-arguments.ts';
import {
  COPY,
  describe,
  makeInstruction,
  MAKERS,
  ORIGINAL,
  POINTER,
  random,
  type Random,
  STACK_TOP,
} from './snippets.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? 1);
const RUNS = Math.min(400_000, Number(process.env['USERTRACE_RUNS'] ?? 6000));
const BATCH = 5000;

/** struct test_case and struct outcome of tests/programs/relocation-run.c. */
const CASE_SIZE = 8 + 16 * 8 + 8 + 16 + 16 + 8 + 8 + 512 + 2048;
const OUTCOME_SIZE = 8 * (2 + 16 + 1 + 32 + 2);
/** SIGTRAP: the code came to its end. */
const BREAKPOINT_SIGNAL = 5n;
const RED_ZONE = 128;
const RSP = 15;
const RCX = 14;

interface TestCase {
  readonly instructions: readonly CodeInstruction[];
  readonly copy: Uint8Array;
  readonly encoded: Buffer;
}

function makeCase(below: Random, kinds: readonly string[]): TestCase | undefined {
  const instructions: CodeInstruction[] = [];
  let address = ORIGINAL;
  for (let count = 1 + (below(3) === 0 ? below(3) : 0); count > 0; count--) {
    const instruction = makeInstruction(below, kinds[below(kinds.length)] as string, address);
    if (instruction === undefined) return undefined;
    instructions.push(instruction);
    address += instruction.length;
  }
  // Behind the copy the program goes on in its own place, as it will behind a trampoline's.
  const goesOn: CodeInstruction = {
    address,
    length: 5,
    bytes: Uint8Array.of(0xe9, 0, 0, 0, 0),
    flow: 'jump',
    target: address,
    memoryTarget: undefined,
    displacementAt: undefined,
  };
  try {
    const copy = relocateAll([...instructions, goesOn], COPY);
    return { instructions, copy, encoded: encodeCase(below, instructions, copy) };
  } catch (error) {
    if (error instanceof UnmovableInstruction) return undefined;
    throw error;
  }
}

const LANES = {
  address: COPY + 0x4000,
  laneCountShift: 0,
  laneSizeShift: 13,
  slotSizeShift: 9,
  slotCountShift: 3,
};

/** A trampoline in place of the copy. Its lane and words stand behind it in the same memory, full of breakpoints. */
function makeTrampolineCase(below: Random): TestCase | undefined {
  const kind = ['relative', 'anywhere', 'push or pop', 'near branch', 'loop'][below(5)] as string;
  const instruction = makeInstruction(below, kind, ORIGINAL);
  // What moves the stack pointer could write where the trampoline has.
  if (instruction === undefined || /sp\b|enter|leave/.test(describe(instruction.bytes, ORIGINAL).name))
    return undefined;
  const text = ['', '%di', '%sp %ax %cx', '+8(%sp):u32 $stack0', '+0(%di):string', '%flags \\5'][
    below(6)
  ] as string;
  const fetched = fetchArguments(text);
  try {
    const copy = makeTrampoline({
      address: COPY,
      probeAddress: ORIGINAL,
      displaced: [instruction],
      continueAt: ORIGINAL + instruction.length,
      probes: [{ arguments: fetched, lanes: LANES, gateAddress: COPY + 0x3000 }],
      processWords: COPY + 0x1000,
      fileBase: 0n,
    });
    return { instructions: [instruction], copy, encoded: encodeCase(below, [instruction], copy, false) };
  } catch (error) {
    if (error instanceof UnmovableInstruction) return undefined;
    throw error;
  }
}

function encodeCase(
  below: Random,
  instructions: readonly CodeInstruction[],
  copy: Uint8Array,
  isWholeStack = true,
): Buffer {
  const encoded = Buffer.alloc(CASE_SIZE);
  const original = Buffer.concat(instructions.map(({ bytes }) => bytes));
  // Where calls and jumps through registers and memory go: a breakpoint near the code.
  const landing = BigInt(ORIGINAL + 1000 + below(500));
  encoded.writeBigUInt64LE(BigInt(below(2 ** 32)), 0);
  for (let register = 0; register < 16; register++) {
    const value = [
      landing,
      BigInt(POINTER),
      BigInt(POINTER),
      BigInt(below(4)),
      BigInt(below(2 ** 32)) << 16n,
    ][below(5)];
    encoded.writeBigUInt64LE(value as bigint, 8 + register * 8);
  }
  if (below(2) === 0) encoded.writeBigUInt64LE(BigInt(below(3)), 8 + RCX * 8);
  const stackTop = STACK_TOP - 8 * below(64);
  // A trampoline uses the stack below the red zone, which belongs to nobody.
  const stackFrom = BigInt(isWholeStack ? STACK_TOP - 0x8000 : stackTop - RED_ZONE);
  encoded.writeBigUInt64LE(BigInt(stackTop), 8 + RSP * 8);
  encoded.writeBigUInt64LE(BigInt(0x202 | (below(2 ** 12) & 0xcd5)), 136);
  encoded.writeBigUInt64LE(landing, 144);
  encoded.writeBigUInt64LE(BigInt(below(2 ** 32)), 152);
  encoded.writeBigUInt64LE(landing, 160);
  encoded.writeBigUInt64LE(landing, 168);
  encoded.writeBigUInt64LE(stackFrom, 176);
  encoded.writeUInt32LE(original.length, 184);
  encoded.writeUInt32LE(copy.length, 188);
  original.copy(encoded, 192);
  Buffer.from(copy).copy(encoded, 192 + 512);
  return encoded;
}

function textOf(instructions: readonly CodeInstruction[]): string {
  return instructions.map(({ bytes, address }) => describe(bytes, address).name).join('; ');
}

/** Runs cases and says what became of each, in place and relocated. */
function runCases(program: string, cases: readonly TestCase[]): { original: Buffer; relocated: Buffer }[] {
  const input = Buffer.concat(cases.map(({ encoded }) => encoded));
  const run = spawnSync(program, { input, maxBuffer: 1 << 30, timeout: 120_000 });
  const done = Math.floor(run.stdout.length / (2 * OUTCOME_SIZE));
  const stuck = cases[done];
  if (done < cases.length) {
    const text = textOf(stuck?.instructions ?? []);
    throw new Error(`the program ended (${run.signal ?? run.status}) in: ${text}`);
  }
  return cases.map((_, index) => {
    const at = index * 2 * OUTCOME_SIZE;
    return {
      original: run.stdout.subarray(at, at + OUTCOME_SIZE),
      relocated: run.stdout.subarray(at + OUTCOME_SIZE, at + 2 * OUTCOME_SIZE),
    };
  });
}

/**
 * What must be equal: all but the place of a fault, which is in the copy. A call that faults because of its target has
 * pushed nothing in place, but the copy has: there the signal alone is compared.
 */
function comparable(outcome: Buffer, instructions: readonly CodeInstruction[]): string {
  const isFault = outcome.readBigUInt64LE(0) !== BREAKPOINT_SIGNAL;
  if (isFault && instructions.some(({ flow }) => flow === 'indirect-call'))
    return String(outcome.readBigUInt64LE(0));
  return (
    (isFault ? outcome.subarray(16) : outcome.subarray(8)).toString('hex') +
    String(outcome.readBigUInt64LE(0))
  );
}

suite.skipIf(missing('cc') !== undefined)(`relocated instructions (USERTRACE_SEED=${SEED})`, () => {
  const forms = new Set<string>();
  const finished = { count: 0, faults: 0 };

  it.each(Object.keys(MAKERS))(
    'do in a copy what they do in place: %s',
    (kind) => {
      const program = cProgram('tests/programs/relocation-run.c');
      const below = random(SEED * 1000 + Object.keys(MAKERS).indexOf(kind));
      const kinds = [kind, kind, 'push or pop'];
      const share = kind === 'relative' ? 2 : kind === 'anywhere' ? 4 : 8;
      for (let left = Math.ceil(RUNS / share); left > 0; left -= BATCH) {
        const cases: TestCase[] = [];
        while (cases.length < Math.min(left, BATCH)) {
          const made = makeCase(below, kinds);
          if (made !== undefined) cases.push(made);
        }
        for (const [index, { original, relocated }] of runCases(program, cases).entries()) {
          const { instructions, copy } = cases[index] as TestCase;
          const text = textOf(instructions);
          expect(
            comparable(relocated, instructions),
            `${text}\ncopy: ${Buffer.from(copy).toString('hex')}`,
          ).toBe(comparable(original, instructions));
          finished.count++;
          if (original.readBigUInt64LE(0) !== BREAKPOINT_SIGNAL) finished.faults++;
          else for (const { bytes, address } of instructions) forms.add(describe(bytes, address).form);
        }
      }
    },
    600_000,
  );

  it('and a whole trampoline around them change nothing that the program may look at', () => {
    const program = cProgram('tests/programs/relocation-run.c');
    const below = random(SEED * 1000 + 999);
    const cases: TestCase[] = [];
    while (cases.length < Math.min(BATCH, RUNS / 4)) {
      const made = makeTrampolineCase(below);
      if (made !== undefined) cases.push(made);
    }
    for (const [index, { original, relocated }] of runCases(program, cases).entries()) {
      const { instructions } = cases[index] as TestCase;
      const text = textOf(instructions);
      expect(comparable(relocated, instructions), text).toBe(comparable(original, instructions));
    }
  }, 600_000);

  it('are of many forms, and most come to their end', () => {
    console.log(`relocation: ${finished.count} runs, ${finished.faults} faults, ${forms.size} forms`);
    expect(forms.size).toBeGreaterThan(300);
    expect(finished.faults).toBeLessThan(finished.count * 0.7);
  });
});
