/**
 * Random machine code for comparing what an instruction does in its place with what its relocated copy does. Code
 * stands at ORIGINAL, its copy at COPY; both end at a breakpoint. Everything follows from the seed.
 */

import { disassemble, type CodeInstruction, disassembler } from '@usertrace/uprobes';

export const ORIGINAL = 0x2000_0400;
export const COPY = 0x5000_0400;
/** The middle of the data: what is told relative to the instruction, and what registers point to, stands there. */
export const POINTER = 0x3000_8000;
export const STACK_TOP = 0x4000_8000;
/** Where jumps go: between these everything is breakpoints. */
const LANDING = { from: ORIGINAL - 1000, to: ORIGINAL + 3000 };

/** A generator of numbers below a bound (splitmix32). */
export type Random = (bound: number) => number;

export function random(seed: number): Random {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % bound;
  };
}

function int32(value: number): number[] {
  return [...new Uint8Array(Int32Array.of(value).buffer)];
}

/** Kinds of snippets, each a maker of one instruction's bytes. */
export const MAKERS: Readonly<Record<string, (below: Random) => number[]>> = {
  relative: (below) => memoryForm(below, true),
  anywhere: (below) => memoryForm(below, false),
  'short branch': (below) => [...prefix(below, [0x2e, 0x3e]), 0x70 | below(16), below(256)],
  'near branch': (below) => [0x0f, 0x80 | below(16), ...int32(below(3900) - 900)],
  'short jump': (below) => [0xeb, below(256)],
  'near jump': (below) => [...prefix(below, [0xf2]), 0xe9, ...int32(below(3900) - 900)],
  loop: (below) => [...prefix(below, [0x67]), 0xe0 | below(4), below(256)],
  call: (below) => [...prefix(below, [0xf2]), 0xe8, ...int32(below(3900) - 900)],
  'call or jump through a register': (below) => [...rexB(below), 0xff, 0xc0 | direction(below) | below(8)],
  'call or jump through memory': (below) => [...rexB(below), 0xff, ...operand(below, direction(below))],
  'call or jump through relative memory': (below) => [
    ...prefix(below, [0x3e]),
    0xff,
    0x05 | direction(below),
    ...int32(0),
  ],
  return: (below) => (below(2) === 0 ? [0xc3] : [0xc2, below(64), 0]),
  'push or pop': (below) => [...rexB(below), (below(2) === 0 ? 0x50 : 0x58) | below(8)],
};

function prefix(below: Random, choices: readonly number[]): number[] {
  return below(3) === 0 ? [choices[below(choices.length)] as number] : [];
}

function rexB(below: Random): number[] {
  return below(2) === 0 ? [0x41] : [];
}

/** `/2` calls, `/4` jumps. */
function direction(below: Random): number {
  return (below(2) === 0 ? 2 : 4) << 3;
}

/** A memory operand: any base, with or without an index, any displacement. */
function operand(below: Random, field: number): number[] {
  const mode = below(3);
  const register = below(8);
  const sib = register === 4 ? [below(256)] : [];
  const wide = mode === 0 && (register === 5 || (sib[0] !== undefined && (sib[0] & 7) === 5));
  const displacement = mode === 1 ? [below(256)] : mode === 2 || wide ? int32(below(256)) : [];
  return [(mode << 6) | field | register, ...sib, ...displacement];
}

const OPCODE_MAPS: readonly ((below: Random) => number[])[] = [
  (below) => [below(256)],
  (below) => [0x0f, below(256)],
  (below) => [0x0f, below(256)],
  (below) => [0x0f, 0x38, below(256)],
  (below) => [0x0f, 0x3a, below(256)],
];

/** Any instruction with a memory operand: bytes that mean something are found by trying. */
function memoryForm(below: Random, isRelative: boolean): number[] {
  const tail = (): number[] => {
    const modrm = isRelative ? [0x05 | (below(8) << 3), ...int32(0)] : operand(below, below(8) << 3);
    return [...modrm, below(256), below(256), below(256), below(256)];
  };
  const family = below(8);
  if (family === 6) {
    const inverted = [0xe0 | (1 + below(3)), below(256)];
    return [0xc4, inverted[0] as number, inverted[1] as number, below(256), ...tail()];
  }
  if (family === 7)
    return [0x62, 0xf0 | (1 + below(3)), 0x04 | below(256), below(256), below(256), ...tail()];
  const map = OPCODE_MAPS[below(OPCODE_MAPS.length)] as (typeof OPCODE_MAPS)[number];
  const rex = below(2) === 0 ? [0x40 | below(16)] : [];
  return [...prefix(below, [0x66, 0xf2, 0xf3, 0xf0, 0x2e]), ...rex, ...map(below), ...tail()];
}

/**
 * What would change more than registers and memory of the run itself, or differs from run to run; `popf` may turn on
 * single steps, and a copy has a step more.
 */
const UNWANTED =
  /^(?:sys|int|in|out|hlt|cli|sti|lfs|lgs|lss|mov [defgs]s|pop [fg]s|wr|rd|xrstor|clac|stac|swapgs|umwait|tpause|monitor|mwait|cpuid|xgetbv|ptwrite|enqcmd|xsave|[lsv]?[gil]dt|smsw|lmsw|str |ltr|ver[rw]|lar|lsl|invlpg|x(?:begin|abort|end|test)|pconfig|encl|getsec|vm|sk?init|rsm|cl[gt]|uiret|senduipi|incssp|save|setssbsy|popf|aes(?:enc|dec)(?:wide)?\d|loadiwkey|tile|ldtile|sttile|fxrstor|frstor|fldenv)/;

/**
 * Makes one instruction of a kind.
 *
 * @returns undefined if the bytes are none, or one that must not be run
 */
export function makeInstruction(below: Random, kind: string, address: number): CodeInstruction | undefined {
  const bytes = Uint8Array.from((MAKERS[kind] as (below: Random) => number[])(below));
  const parsed = disassemble(bytes, address, 1).instructions[0];
  if (parsed === undefined) return undefined;
  const aimed = aim(below, parsed);
  const [instruction] = disassemble(aimed, address, 1).instructions;
  if (instruction === undefined || !isWanted(instruction)) return undefined;
  return instruction;
}

/** Points a relative operand at the data. */
function aim(below: Random, { bytes, displacementAt, address, length }: CodeInstruction): Uint8Array {
  const aimed = Uint8Array.from(bytes);
  if (displacementAt === undefined || displacementAt + 4 > length) return aimed;
  const isCall = bytes.includes(0xff);
  const target = isCall ? POINTER : POINTER + (below(4) === 0 ? below(64) : 64 * below(4));
  aimed.set(int32(target - (address + length)), displacementAt);
  return aimed;
}

function isWanted({ bytes, flow, target, address }: CodeInstruction): boolean {
  if (flow === 'system-call' || flow === 'interrupt' || flow === 'transaction') return false;
  if (target !== undefined && (target < LANDING.from || target > LANDING.to)) return false;
  // A branch into the code itself would run it again, perhaps for ever.
  if (target !== undefined && target >= ORIGINAL && target < ORIGINAL + 64) return false;
  const { name, isPrivileged } = describe(bytes, address);
  return !isPrivileged && !UNWANTED.test(name);
}

/** The text of an instruction, and the name of its form (iced-x86's Code). */
export function describe(
  bytes: Uint8Array,
  address: number,
): { readonly name: string; readonly form: string; readonly isPrivileged: boolean } {
  const iced = disassembler();
  const decoder = new iced.Decoder(64, bytes, iced.DecoderOptions.None);
  decoder.ip = BigInt(address);
  const instruction = decoder.decode();
  const described = {
    name: instruction.toString(),
    form: iced.Code[instruction.code],
    isPrivileged: instruction.isPrivileged,
  };
  instruction.free();
  decoder.free();
  return described;
}
