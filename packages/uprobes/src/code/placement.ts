/**
 * Decides how a probe at an address can be put: as a jump over the instructions it displaces, as a breakpoint, or
 * not at all. The rules are those by which the kernel optimises kprobes (Documentation/trace/kprobes.rst, "How Does
 * Jump Optimization Work?"), and a few more because nobody looks over a user program's code as a whole.
 */

import { indirectTargets, type CodeImage } from './jump-tables.ts';
import { type CodeInstruction, type Disassembly, disassemble } from './instruction.ts';

/** Bytes of the jump to the trampoline: e9 and a 32-bit distance. */
export const JUMP_BYTES = 5;

/** A function of the file that is probed. */
export interface FunctionRange {
  readonly address: number;
  /** In bytes; 0 if the file does not say. */
  readonly size: number;
}

/** Why a probe stays a breakpoint. */
export type BreakpointReason =
  /** No function of known size is around the address, so that nothing is known of who jumps where. */
  | 'unknown-function'
  /** The function ends before the jump would. */
  | 'too-short'
  /** Some bytes of the function are no instructions. */
  | 'undecodable'
  /** Something jumps into the bytes that the jump would cover. */
  | 'branch-into'
  /** Another function begins there. */
  | 'entry-inside'
  /** The function jumps to addresses that cannot be found out. */
  | 'indirect-jump'
  /** A call there would come back into the middle of the jump. */
  | 'call-inside'
  /** An instruction there cannot run elsewhere. */
  | 'unmovable';

export type Placement =
  | {
      readonly kind: 'jump';
      /** The instructions that the jump displaces, all of them whole. */
      readonly displaced: readonly CodeInstruction[];
      /** Their bytes: at least JUMP_BYTES. */
      readonly length: number;
    }
  | { readonly kind: 'breakpoint'; readonly reason: BreakpointReason };

/** What the decision looks at. */
export interface PlacementInput {
  readonly address: number;
  readonly image: CodeImage;
  /** The function around the address, if one is known. */
  readonly function: FunctionRange | undefined;
  /** The last instruction that has to be displaced; if there is none, as many are as the jump covers. */
  readonly last?: CodeInstruction;
  /** Whether some other function begins at an address. */
  isEntry(address: number): boolean;
  /** Whether anything outside of a function may branch to an address from `from` up to `to`. */
  hasBranchInto(from: number, to: number, except: FunctionRange): boolean;
}

/**
 * Decides for one address.
 *
 * @param input the address and what is known around it
 */
export function placeProbe(input: PlacementInput): Placement {
  const { function: around, image } = input;
  if (around === undefined || around.size === 0) return breakpoint('unknown-function');
  const code = image.read(around.address, around.size);
  if (code === undefined) return breakpoint('unknown-function');
  const analysis = analyseFunction(code, around.address, image);
  return placeInFunction(input, around, analysis);
}

/** What there is to know of one function, for all places in it. */
export interface FunctionAnalysis {
  readonly disassembly: Disassembly;
  /** Every address that the function's own jumps, branches and calls lead to. */
  readonly targets: ReadonlySet<number>;
  /** The function jumps to addresses that are not among the targets. */
  readonly hasUnknownTargets: boolean;
}

/** Reads a whole function. It takes about a microsecond an instruction. */
export function analyseFunction(code: Uint8Array, address: number, image: CodeImage): FunctionAnalysis {
  const disassembly = disassemble(code, address);
  const { instructions } = disassembly;
  const indirect = indirectTargets(instructions, image);
  const direct = instructions.flatMap(({ target }) => (target === undefined ? [] : [target]));
  return {
    disassembly,
    targets: new Set([...direct, ...(indirect ?? [])]),
    hasUnknownTargets: indirect === undefined,
  };
}

/** As placeProbe(), for a function that was analysed before. */
export function placeInFunction(
  input: PlacementInput,
  around: FunctionRange,
  analysis: FunctionAnalysis,
): Placement {
  const { address } = input;
  const { instructions, undecodableAt } = analysis.disassembly;
  if (undecodableAt !== undefined) return breakpoint('undecodable');
  const first = instructions.findIndex((instruction) => instruction.address === address);
  if (first < 0) return breakpoint('undecodable');
  const displaced = displacedFrom(input, instructions.slice(first));
  const length = displaced.reduce((sum, instruction) => sum + instruction.length, 0);
  const end = address + length;
  if (end > around.address + around.size) return breakpoint('too-short');
  if (length < JUMP_BYTES) {
    const behind = instructions
      .slice(first + displaced.length)
      .filter((each) => each.address < address + JUMP_BYTES);
    if (!behind.every(isFiller)) return breakpoint('branch-into');
    const filled = behind.reduce((sum, instruction) => sum + instruction.length, length);
    const last = displaced.at(-1);
    if (filled < JUMP_BYTES && (last === undefined || !endsFlow(last) || !isPadding(input, address + filled)))
      return breakpoint('too-short');
  }
  const covered = Array.from({ length: Math.max(length, JUMP_BYTES) - 1 }, (_, index) => address + 1 + index);
  if (covered.some((inside) => input.isEntry(inside))) return breakpoint('entry-inside');
  if (analysis.hasUnknownTargets) return breakpoint('indirect-jump');
  if (covered.some((inside) => analysis.targets.has(inside))) return breakpoint('branch-into');
  const [from, to] = [address + 1, address + Math.max(length, JUMP_BYTES)];
  if (input.image.hasLandingPad(from, to) || input.hasBranchInto(from, to, around))
    return breakpoint('branch-into');
  if (displaced.slice(0, -1).some(({ flow }) => flow === 'call' || flow === 'indirect-call')) {
    return breakpoint('call-inside');
  }
  if (
    displaced.some(({ flow }) => flow === 'system-call' || flow === 'interrupt' || flow === 'transaction')
  ) {
    return breakpoint('unmovable');
  }
  return { kind: 'jump', displaced, length: Math.max(length, JUMP_BYTES) };
}

/** What the jump displaces, up to where nothing goes on: the code behind is for who jumps there, if only for an exception. */
function displacedFrom(
  { address, last }: PlacementInput,
  instructions: readonly CodeInstruction[],
): CodeInstruction[] {
  const wanted =
    last === undefined ? address + JUMP_BYTES : Math.max(address + JUMP_BYTES, last.address + last.length);
  const displaced: CodeInstruction[] = [];
  for (const instruction of instructions) {
    if (instruction.address >= wanted) break;
    displaced.push(instruction);
    if (endsFlow(instruction)) break;
  }
  return displaced;
}

function breakpoint(reason: BreakpointReason): Placement {
  return { kind: 'breakpoint', reason };
}

/** Nothing runs from one end of such an instruction to the next. */
function endsFlow({ flow }: CodeInstruction): boolean {
  return flow === 'jump' || flow === 'return' || flow === 'indirect-jump';
}

/** Functions begin at multiples of this, where compilers fill up. */
const ALIGNMENT = 16;

/** Whether the bytes behind a function up to the next multiple of 16 only fill up, and nothing can run there. */
function isPadding(input: PlacementInput, end: number): boolean {
  const stop = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
  if (stop < input.address + JUMP_BYTES) return false;
  for (let address = end; address < stop; address++) if (input.isEntry(address)) return false;
  const filling = input.image.read(end, stop - end);
  if (filling === undefined) return false;
  const { instructions, undecodableAt } = disassemble(filling, end);
  return undecodableAt === undefined && instructions.every(isFiller);
}

/** `int3`, or a filling of several bytes that assemblers write: `90`, `66 90`, `0f 1f /0`, with prefixes before them. */
export function isFiller({ bytes }: CodeInstruction): boolean {
  const opcode = bytes.findIndex((byte) => byte !== 0x66 && byte !== 0x2e);
  const isNop = bytes[opcode] === 0x90 || (bytes[opcode] === 0x0f && bytes[opcode + 1] === 0x1f);
  return isNop || bytes[0] === 0xcc;
}
