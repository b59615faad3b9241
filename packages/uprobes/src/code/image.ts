/** An ELF file as the code analysis looks at it: its memory as it was linked, and its functions in their order. */

import {
  type CodeRange,
  elfCodeRanges,
  type ElfFile,
  type ElfFunction,
  elfFunctions,
  elfLandingPads,
  type LandingPads,
  SEGMENT_TYPE,
} from '@usertrace/abi';
import { BranchIndex } from './branch-index.ts';
import { disassemble } from './instruction.ts';
import type { CodeImage } from './jump-tables.ts';
import type { FunctionRange } from './placement.ts';

/** Segment flag of memory that may be executed (PF_X). */
const EXECUTABLE = 1;

/** A function with its names at one address. */
export interface ImageFunction extends FunctionRange {
  readonly names: readonly string[];
  readonly isIndirect: boolean;
}

export class FileImage implements CodeImage {
  readonly #file: ElfFile;
  readonly #code: readonly { readonly from: number; readonly to: number }[];
  /** By address, rising. */
  readonly functions: readonly ImageFunction[];
  readonly #entries: ReadonlySet<number>;
  /** One for each executable segment, made when first asked for. */
  #branches: readonly BranchIndex[] | undefined;
  readonly #ranges: readonly CodeRange[];
  /** Made when first asked for. */
  #landingPads: LandingPads | undefined;

  /** @param symbols where the functions are listed, if that is another file than the code's (a debug file) */
  constructor(file: ElfFile, symbols: ElfFile = file) {
    this.#file = file;
    this.#code = file.segments
      .filter(({ type, flags }) => type === SEGMENT_TYPE.load && (flags & EXECUTABLE) !== 0)
      .map(({ address, fileSize }) => ({ from: Number(address), to: Number(address) + fileSize }));
    const named = mergedFunctions(elfFunctions(symbols)).filter(({ address }) => this.isCode(address));
    this.#ranges = elfCodeRanges(file);
    this.functions = withUnnamed(named, this.#ranges);
    this.#entries = new Set(this.functions.map(({ address }) => address));
  }

  read(address: number, length: number): Uint8Array | undefined {
    return this.#file.memory(BigInt(address), length);
  }

  isCode(address: number): boolean {
    return this.#code.some(({ from, to }) => address >= from && address < to);
  }

  isEntry(address: number): boolean {
    return this.#entries.has(address);
  }

  /**
   * Whether something outside of a function branches into a stretch of it. In known functions that is certain; in
   * other code, what looks like a branch is taken for one.
   *
   * @param from the stretch's first address
   * @param to the address behind it
   * @param except the function's parts, whose own branches do not count
   */
  hasBranchInto(from: number, to: number, ...except: readonly FunctionRange[]): boolean {
    this.#branches ??= this.#code.flatMap((segment) => {
      const code = this.read(segment.from, segment.to - segment.from);
      return code === undefined ? [] : [new BranchIndex(code, segment.from)];
    });
    const sources = this.#branches.flatMap((index) => index.sourcesInto(from, to));
    const isOutside = (source: number): boolean =>
      except.every(({ address, size }) => source < address || source >= address + size);
    return sources.some((source) => isOutside(source) && this.#isBranch(source, from, to));
  }

  hasLandingPad(from: number, to: number): boolean {
    this.#landingPads ??= elfLandingPads(this.#file, this.#ranges);
    const { addresses, unknown } = this.#landingPads;
    const at = lowerBound(addresses, from);
    if ((addresses[at] ?? to) < to) return true;
    return unknown.some(({ address, size }) => from < Number(address) + size && to > Number(address));
  }

  /** Whether an instruction that branches into a stretch begins at or within some bytes before an address. */
  #isBranch(source: number, from: number, to: number): boolean {
    const around = this.functionAt(source);
    const code = around === undefined ? undefined : this.read(around.address, around.size);
    if (around === undefined || code === undefined) return true;
    const { instructions, undecodableAt } = disassemble(code, around.address);
    if (undecodableAt !== undefined && undecodableAt <= source) return true;
    return instructions.some(
      ({ address, length, target }) =>
        source >= address &&
        source < address + length &&
        target !== undefined &&
        target >= from &&
        target < to,
    );
  }

  /** The function around an address: the last that begins at or before it and reaches over it. */
  functionAt(address: number): ImageFunction | undefined {
    let [low, high] = [0, this.functions.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.functions[middle]?.address ?? 0) <= address) low = middle + 1;
      else high = middle;
    }
    const found = this.functions[low - 1];
    return found !== undefined && address < found.address + Math.max(1, found.size) ? found : undefined;
  }
}

/**
 * Adds what has no name: stretches of code that exception handling knows of, where no function of a known size is. A
 * file without symbols has little else.
 */
function withUnnamed(named: readonly ImageFunction[], ranges: readonly CodeRange[]): ImageFunction[] {
  const byAddress = new Map(named.map((found) => [found.address, found]));
  for (const range of ranges) {
    const address = Number(range.address);
    const known = byAddress.get(address);
    if (known !== undefined && known.size > 0) continue;
    const { names = [], isIndirect = false } = known ?? {};
    byAddress.set(address, { address, size: range.size, names, isIndirect });
  }
  return [...byAddress.values()].toSorted((one, other) => one.address - other.address);
}

/** One entry for each address; of several sizes the largest. */
function mergedFunctions(functions: readonly ElfFunction[]): ImageFunction[] {
  const byAddress = new Map<number, ElfFunction[]>();
  for (const found of functions) {
    const address = Number(found.address);
    const others = byAddress.get(address);
    if (others === undefined) byAddress.set(address, [found]);
    else others.push(found);
  }
  return [...byAddress]
    .map(([address, aliases]) => ({
      address,
      size: Math.max(...aliases.map(({ size }) => size)),
      names: aliases.map(({ name }) => name),
      isIndirect: aliases.some(({ kind }) => kind === 'indirect'),
    }))
    .toSorted((one, other) => one.address - other.address);
}

/** The index of the first number that is not below another, in rising numbers. */
function lowerBound(numbers: readonly number[], least: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] ?? 0) < least) low = middle + 1;
    else high = middle;
  }
  return low;
}
