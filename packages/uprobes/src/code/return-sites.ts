/**
 * Where a function returns: all its `ret`s, if that is all there is to its returning. A probe at each of them sees every return
 * with the value in its register, and changes nothing of the program's: recursion, longjmp, exceptions and backtraces go their way.
 */

import type { FileImage, ImageFunction } from './image.ts';
import type { CodeInstruction, Flow } from './instruction.ts';
import { OPERAND_SIZE, prefixesOf } from './prefixes.ts';
import {
  analyseFunction,
  type FunctionAnalysis,
  type FunctionRange,
  isFiller,
  JUMP_BYTES,
  placeInFunction,
  type Placement,
} from './placement.ts';

/** One `ret`. */
export interface ReturnSite {
  readonly address: number;
  /** Bytes that it takes from the stack besides the return address (`ret N`). */
  readonly poppedBytes: number;
  /** A jump stands at the `ret` or before it. Of what it displaces the `ret` is the last: what is before that runs first, then the probe. */
  readonly placement: Placement;
}

/** Why a function's returns are not known from its code. */
export type UnknownReturns =
  /** No function of known size begins there. */
  | 'unknown-function'
  /** Some bytes of it are no instructions that are known. */
  | 'undecodable'
  /** It jumps to addresses that cannot be found out. */
  | 'indirect-jump'
  /** It jumps to another function, or runs on into the one behind it: that returns in its place. */
  | 'tail-call'
  /** Other code jumps into it, and returns there without having called it. */
  | 'jumped-into';

export type ReturnSites =
  | { readonly kind: 'known'; readonly sites: readonly ReturnSite[] }
  | { readonly kind: 'unknown'; readonly reason: UnknownReturns };

/** Parts of a function: itself, and what the compiler moved elsewhere because it is rarely run. */
const PARTS_MAX = 8;
/** Instructions before a `ret` that are looked at: of one byte each, as many as a jump displaces. */
const BEFORE_MAX = JUMP_BYTES - 1;

/** Behind these the next instruction is run. */
const RUNNING_ON: ReadonlySet<Flow> = new Set(['next', 'branch', 'loop', 'system-call', 'transaction']);

interface Part {
  readonly range: FunctionRange;
  readonly analysis: FunctionAnalysis;
}

/**
 * Finds the returns of a function.
 *
 * @param image the file's code
 * @param address where the function begins
 */
export function returnSites(image: FileImage, address: number): ReturnSites {
  const whole = image.functionAt(address);
  if (whole === undefined || whole.address !== address || whole.size === 0)
    return unknown('unknown-function');
  const parts = partsOf(image, whole);
  if (typeof parts === 'string') return unknown(parts);
  const ranges = parts.map(({ range }) => range);
  const isJumpedInto = ranges.some((range) =>
    image.hasBranchInto(range.address + (range === ranges[0] ? 1 : 0), range.address + range.size, ...ranges),
  );
  if (isJumpedInto) return unknown('jumped-into');
  return { kind: 'known', sites: parts.flatMap((part) => sitesOf(image, part)) };
}

function unknown(reason: UnknownReturns): ReturnSites {
  return { kind: 'unknown', reason };
}

/** The function with its cold parts, if nothing leaves them but by returning. */
function partsOf(image: FileImage, whole: ImageFunction): Part[] | UnknownReturns {
  const parts: Part[] = [];
  const waiting: ImageFunction[] = [whole];
  for (let range: ImageFunction | undefined; (range = waiting.shift()) !== undefined; ) {
    const code = image.read(range.address, range.size);
    if (code === undefined) return 'undecodable';
    const analysis = analyseFunction(code, range.address, image);
    parts.push({ range, analysis });
    const { instructions, undecodableAt } = analysis.disassembly;
    if (undecodableAt !== undefined) return 'undecodable';
    if (analysis.hasUnknownTargets) return 'indirect-jump';
    if (runsOn(instructions)) return 'tail-call';
    for (const instruction of instructions) {
      if (instruction.flow === 'interrupt' && isFarReturn(instruction)) return 'undecodable';
      // A jump through a fixed slot: another function.
      if (instruction.flow === 'indirect-jump' && instruction.memoryTarget !== undefined) return 'tail-call';
      const { target } = instruction;
      const isJump =
        instruction.flow === 'jump' || instruction.flow === 'branch' || instruction.flow === 'loop';
      const known = [...parts.map((part) => part.range), ...waiting];
      if (!isJump || target === undefined || known.some((each) => isIn(each, target))) continue;
      const part = image.functionAt(target);
      if (part === undefined || !isColdPart(part, whole) || known.length >= PARTS_MAX) return 'tail-call';
      waiting.push(part);
    }
  }
  return parts;
}

/** Whether it goes on behind its last instruction. A call that is the last does not return, or else compilers would not end there. */
function runsOn(instructions: readonly CodeInstruction[]): boolean {
  const last = instructions.findLast((instruction) => !isFiller(instruction));
  return last !== undefined && RUNNING_ON.has(last.flow);
}

function isIn({ address, size }: FunctionRange, at: number): boolean {
  return at >= address && at < address + size;
}

/** GCC and clang name it after the function. */
function isColdPart(part: ImageFunction, whole: ImageFunction): boolean {
  return part.names.some((name) => {
    const cold = /^(?<stem>.+?)\.cold(?:\.[0-9]+)?$/u.exec(name)?.groups?.['stem'];
    return cold !== undefined && whole.names.includes(cold);
  });
}

/** `retf` and `iret` (Intel SDM volume 2). */
function isFarReturn({ bytes }: CodeInstruction): boolean {
  const opcode = bytes.find((byte) => (byte & 0xf0) !== 0x40 && byte !== 0x66);
  return opcode === 0xca || opcode === 0xcb || opcode === 0xcf;
}

function sitesOf(image: FileImage, part: Part): ReturnSite[] {
  const { instructions } = part.analysis.disassembly;
  return instructions.flatMap((instruction, index) =>
    instruction.flow === 'return'
      ? [
          {
            address: instruction.address,
            poppedBytes: poppedBy(instruction),
            placement: placeReturn(image, part, index),
          },
        ]
      : [],
  );
}

/** `c2` and 16 bits; `c3` without. */
function poppedBy({ bytes, length }: CodeInstruction): number {
  return length >= 3 && bytes[length - 3] === 0xc2 ? Buffer.from(bytes).readUInt16LE(length - 2) : 0;
}

/**
 * A jump at the `ret` with what fills up behind it, or at the nearest instruction before it from which there is room. Farther away it
 * would cover more, and be no better.
 */
function placeReturn(image: FileImage, part: Part, ret: number): Placement {
  const { instructions } = part.analysis.disassembly;
  const last = instructions[ret]!;
  if (prefixesOf(last.bytes).includes(OPERAND_SIZE)) return { kind: 'breakpoint', reason: 'unmovable' };
  const atReturn = jumpFrom(image, part, last, last);
  if (atReturn.kind === 'jump') return atReturn;
  const end = last.address + last.length;
  const before = instructions.slice(Math.max(0, ret - BEFORE_MAX), ret);
  const first = before.findLast(({ address }) => address <= end - JUMP_BYTES);
  return first === undefined
    ? { kind: 'breakpoint', reason: 'too-short' }
    : jumpFrom(image, part, first, last);
}

function jumpFrom(
  image: FileImage,
  { range, analysis }: Part,
  first: CodeInstruction,
  last: CodeInstruction,
): Placement {
  const { address } = first;
  const input = {
    address,
    image,
    function: range,
    last,
    isEntry: (at: number) => image.isEntry(at),
    hasBranchInto: (from: number, to: number, except: FunctionRange) => image.hasBranchInto(from, to, except),
  };
  const placement = placeInFunction(input, range, analysis);
  if (placement.kind === 'breakpoint') return placement;
  // Behind a jump or another `ret` it is reached by who jumps to it.
  const isLast = placement.displaced.at(-1)?.address === last.address;
  return isLast ? placement : { kind: 'breakpoint', reason: 'branch-into' };
}
