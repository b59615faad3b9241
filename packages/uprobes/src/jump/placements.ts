/** Which places of files take a jump, as far as the file tells; an answer stays true for as long as the file's identity does. */

import { addressOf } from '@usertrace/abi';
import type { FileImage } from '../code/image.ts';
import { type BreakpointReason, JUMP_BYTES, type Placement, placeProbe } from '../code/placement.ts';
import type { ProbeDefinition } from '../definition/definition.ts';
import type { PlannedSite } from '../return/return-plan.ts';
import type { AnalysedFiles } from '../target/analysed-files.ts';
import type { FileSymbols } from '../target/file-symbols.ts';

/** Why a place in a file takes no jump. */
export type FileObstacle =
  | BreakpointReason
  /** The file is not there, is another by now, or is no program. */
  | 'no-file'
  /** Its runtime interrupts its coroutines anywhere and continues them later: Go. Nothing tells where they are. */
  | 'preemptive-runtime'
  /** The jump would lie on two pages: a tracer killed in the middle could leave half of it. */
  | 'page-boundary';

/** What a jump at a place needs to know of the file. */
export interface JumpPlace {
  readonly kind: 'jump';
  /** How many bytes before the probed instruction it begins: none, unless that is a `ret`. */
  readonly bytesBefore: number;
  /** What the jump covers, as the file has it: the displaced instructions, and padding behind a function that is shorter. */
  readonly code: Uint8Array;
  /** Bytes of the displaced instructions. */
  readonly displacedBytes: number;
}

export type FilePlacement = JumpPlace | { readonly kind: 'breakpoint'; readonly reason: FileObstacle };

const PAGE_BYTES = 4096;
const PLACEMENTS_MAX = 65_536;

/** Placements of probes. */
export class Placements {
  readonly #files: AnalysedFiles;
  readonly #placements = new Map<string, FilePlacement>();

  constructor(files: AnalysedFiles) {
    this.#files = files;
  }

  /**
   * Where the definition's probe could be put. It takes from microseconds to a second.
   *
   * @param site of a return probe, which of the function's `ret`s
   */
  of({ path, fileIdentity: identity, offset }: ProbeDefinition, site?: PlannedSite): FilePlacement {
    const key = site === undefined ? `${identity}+${offset}` : `${identity}+${site.offset} return`;
    const known = this.#placements.get(key);
    if (known !== undefined) return known;
    const found = this.#analyse(path, identity, site ?? Number(offset));
    if (this.#placements.size >= PLACEMENTS_MAX) this.#placements.clear();
    this.#placements.set(key, found);
    return found;
  }

  /** @param probed the offset of an instruction in the file, or a `ret` */
  #analyse(path: string, identity: string, probed: number | PlannedSite): FilePlacement {
    const symbols = this.#files.open(path, identity);
    const offset = typeof probed === 'number' ? probed : probed.offset;
    const linked = symbols === undefined ? undefined : addressOf(symbols.file, BigInt(offset));
    if (symbols === undefined || linked === undefined) return { kind: 'breakpoint', reason: 'no-file' };
    if (isPreemptive(symbols)) return { kind: 'breakpoint', reason: 'preemptive-runtime' };
    const { image } = symbols;
    const address = Number(linked);
    const placement = typeof probed === 'number' ? placementAt(address, image) : probed.placement;
    if (placement.kind === 'breakpoint') return placement;
    const start = placement.displaced[0]?.address ?? address;
    const bytesBefore = address - start;
    if ((offset - bytesBefore) % PAGE_BYTES > PAGE_BYTES - JUMP_BYTES)
      return { kind: 'breakpoint', reason: 'page-boundary' };
    const displacedBytes = placement.displaced.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const code = image.read(start, placement.length);
    if (code === undefined) return { kind: 'breakpoint', reason: 'unknown-function' };
    return { kind: 'jump', bytesBefore, code: Uint8Array.from(code), displacedBytes };
  }
}

function placementAt(address: number, image: FileImage): Placement {
  return placeProbe({
    address,
    image,
    function: image.functionAt(address),
    isEntry: (at) => image.isEntry(at),
    hasBranchInto: (from, to, except) => image.hasBranchInto(from, to, except),
  });
}

/** Go marks its programs by a section. */
function isPreemptive({ file }: FileSymbols): boolean {
  return file.section('.gopclntab') !== undefined || file.section('.go.buildinfo') !== undefined;
}
