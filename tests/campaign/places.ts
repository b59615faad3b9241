/** Places to probe in a file: where functions begin, instructions in them, and where they return, chosen by a seed. */
import { existsSync, readFileSync } from 'node:fs';
import { fileOffsetOf } from '@usertrace/abi';
import { disassemble, FileSymbols, type ImageFunction, placeProbe, returnSites } from '@usertrace/uprobes';
import type { Random } from '../fuzz/random.ts';

/** One of so many places is not where its function begins. */
const INSIDE_ONE_IN = 4;

const READER = {
  read: (file: string): Uint8Array | undefined => (existsSync(file) ? readFileSync(file) : undefined),
};

/** What is probed: instructions, or the returns of functions. */
export type ProbeKind = 'p' | 'r';

/** A place. */
export interface Place {
  readonly kind: ProbeKind;
  readonly name: string;
  readonly offset: number;
  /** What the code lets one expect there: `jump`, or why not. */
  readonly expected: string;
  /** Whether the kernel's uprobe can be asked there. */
  readonly isForKernel: boolean;
}

/** First bytes of instructions in the encodings VEX and EVEX. */
const VECTOR_ENCODINGS: ReadonlySet<number> = new Set([0xc4, 0xc5, 0x62]);

/** The functions of a file, in an order that the seed decides. */
export class Places {
  readonly #kind: ProbeKind;
  readonly #symbols: FileSymbols;
  readonly #random: Random;
  readonly #functions: ImageFunction[];

  /** @throws {Error} if the file has no functions */
  constructor(kind: ProbeKind, file: string, random: Random) {
    this.#kind = kind;
    const symbols = FileSymbols.open(file, READER);
    if (symbols === undefined) throw new Error(`Cannot read "${file}"`);
    this.#symbols = symbols;
    this.#random = random;
    this.#functions = [...symbols.image.functions];
  }

  /** Up to so many more places, none twice. */
  take(count: number): Place[] {
    const places: Place[] = [];
    while (places.length < count && this.#functions.length > 0) {
      const index = this.#random.below(this.#functions.length);
      const last = this.#functions.pop() as ImageFunction;
      const chosen = this.#functions[index] ?? last;
      if (chosen !== last) this.#functions[index] = last;
      const place = this.#kind === 'p' ? this.#placeIn(chosen) : this.#returnOf(chosen);
      if (place !== undefined) places.push(place);
    }
    return places;
  }

  #placeIn(around: ImageFunction): Place | undefined {
    const { image, file } = this.#symbols;
    const code = image.read(around.address, around.size);
    let { address } = around;
    if (code !== undefined && this.#random.oneIn(INSIDE_ONE_IN)) {
      const { instructions, undecodableAt } = disassemble(code, address);
      if (undecodableAt === undefined && instructions.length > 0)
        ({ address } = this.#random.pick(instructions));
    }
    const offset = fileOffsetOf(file, BigInt(address));
    if (offset === undefined) return undefined;
    const placement = placeProbe({
      address,
      image,
      function: around,
      isEntry: (at) => image.isEntry(at),
      hasBranchInto: (from, to, except) => image.hasBranchInto(from, to, except),
    });
    const inside = address === around.address ? '' : `+${address - around.address}`;
    const name = around.names[0] ?? `0x${around.address.toString(16)}`;
    return {
      kind: 'p',
      name: `${name}${inside}`,
      offset: Number(offset),
      expected: placement.kind === 'jump' ? 'jump' : placement.reason,
      // Linux 6.18 takes their opcodes for those of one byte: it emulates vpbroadcastb (7a) as a branch, and the program goes astray.
      isForKernel: !VECTOR_ENCODINGS.has(image.read(address, 1)?.[0] ?? 0),
    };
  }

  #returnOf({ address, size, names }: ImageFunction): Place | undefined {
    const { image, file } = this.#symbols;
    const offset = fileOffsetOf(file, BigInt(address));
    if (offset === undefined) return undefined;
    const found = returnSites(image, address);
    const { instructions } = disassemble(image.read(address, size) ?? new Uint8Array(), address);
    // To the kernel each time is a call with a return of its own.
    const jumpsToItself = instructions.some(({ flow, target }) => target === address && flow !== 'call');
    const isJump = found.kind === 'known' && found.sites.every(({ placement }) => placement.kind === 'jump');
    return {
      kind: 'r',
      name: names[0] ?? `0x${address.toString(16)}`,
      offset: Number(offset),
      expected: isJump ? 'jump' : found.kind === 'known' ? 'mixed' : found.reason,
      isForKernel: !jumpsToItself && !VECTOR_ENCODINGS.has(image.read(address, 1)?.[0] ?? 0),
    };
  }
}
