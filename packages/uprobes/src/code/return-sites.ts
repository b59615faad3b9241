/**
 * Where a function returns: all its `ret`s, if that is all there is to its returning. A probe at each of them sees every return
 * with the value in its register, and changes nothing of the program's: recursion, longjmp, exceptions and backtraces go their way.
 */

import type { FileImage, ImageFunction } from './image.ts';
import type { CodeInstruction } from './instruction.ts';
import {
  analyseFunction,
  type FunctionAnalysis,
  type FunctionRange,
  JUMP_BYTES,
  placeInFunction,
  type Placement,
} from './placement.ts';

/** Where a jump may stand instead of a breakpoint: at the `ret`, or before it. */
export interface ReturnJump {
  readonly address: number;
  /** Of what is displaced the `ret` is the last: what stands before it runs first, then the probe. */
  readonly placement: Placement & { readonly kind: 'jump' };
}

/** One `ret`. */
export interface ReturnSite {
  readonly address: number;
  /** Bytes that it takes from the stack besides the return address (`ret N`). */
  readonly poppedBytes: number;
  readonly jump: ReturnJump | undefined;
}

/** Why a function's returns are not known from its code. */
export type UnknownReturns =
  /** No function of known size begins there. */
  | 'unknown-function'
  /** Some bytes of it are no instructions that are known. */
  | 'undecodable'
  /** It jumps to addresses that cannot be found out. */
  | 'indirect-jump'
  /** It ends with a jump to another function, which returns in its place. */
  | 'tail-call'
  /** Other code jumps into it, and returns there without having called it. */
  | 'branch-into';

export type ReturnSites =
  | { readonly kind: 'known'; readonly sites: readonly ReturnSite[] }
  | { readonly kind: 'unknown'; readonly reason: UnknownReturns };

/** Parts of a function: itself, and what the compiler moved elsewhere because it is rarely run. */
const PARTS_MAX = 8;
/** Instructions before a `ret` that are looked at: of one byte each, as many as a jump displaces. */
const BEFORE_MAX = JUMP_BYTES - 1;

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
  if (isJumpedInto) return unknown('branch-into');
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
            jump: jumpTo(image, part, index),
          },
        ]
      : [],
  );
}

/** `c2` and 16 bits; `c3` without. */
function poppedBy({ bytes, length }: CodeInstruction): number {
  return length >= 3 && bytes[length - 3] === 0xc2 ? Buffer.from(bytes).readUInt16LE(length - 2) : 0;
}

/** A jump at the `ret` with what fills up behind it, or at the nearest instruction before it from which there is room. */
function jumpTo(image: FileImage, { range, analysis }: Part, ret: number): ReturnJump | undefined {
  const { instructions } = analysis.disassembly;
  for (let first = ret; first >= Math.max(0, ret - BEFORE_MAX); first--) {
    const address = instructions[first]!.address;
    const placement = placeInFunction(
      {
        address,
        image,
        function: range,
        isEntry: (at) => image.isEntry(at),
        hasBranchInto: (from, to, except) => image.hasBranchInto(from, to, except),
      },
      range,
      analysis,
    );
    if (placement.kind === 'jump')
      return placement.displaced.at(-1)?.address === instructions[ret]!.address
        ? { address, placement }
        : undefined;
  }
  return undefined;
}
