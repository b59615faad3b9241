/** Which of the places that are probed in an address space are to be jumps, and why the others cannot be. */

import type { ProbeDefinition } from '../definition/definition.ts';
import { canFetch, slotLayout, TRAMPOLINE_ARGUMENTS_MAX } from '../trampoline/trampoline.ts';
import type { JumpPlace, FileObstacle, Placements } from './placements.ts';
import type { ProcessObstacle } from './process-fitness.ts';

/** Why a probe is a breakpoint. */
export type JumpObstacle =
  | FileObstacle
  | ProcessObstacle
  /** It is where a function returns to, or whose return is followed from here. */
  | 'return'
  /** Its values need a breakpoint: arrays of texts, more than a slot holds. */
  | 'arguments'
  /** Another probe, or the loader's breakpoint, is among the instructions that the jump would displace. */
  | 'neighbour'
  /** The code in memory is not the file's. */
  | 'changed-code'
  /** A thread was there, or in the frame of a signal handler on its way back to there, as often as it was tried. */
  | 'thread-inside'
  /** Threads could not be stopped. */
  | 'does-not-stop'
  /** There is no memory for it near enough, or too many probes. */
  | 'no-room';

/** The largest slot. */
const SLOT_BYTES_MAX = 4096;

/** A place in the memory of a program, with the definitions that are probed there. */
export interface PlaceInMemory {
  /** None where the return of a function is looked at. */
  readonly definitions: readonly ProbeDefinition[];
  /** Where the file's offset 0 is mapped. */
  readonly fileBase: bigint;
}

/** A place that is to be a jump. */
export interface WantedJump extends PlaceInMemory {
  readonly address: number;
  readonly place: JumpPlace;
}

/** What tells a definition from others at the same place, so that its trampoline can be used again. */
export function definitionKey(definition: ProbeDefinition): string {
  const { kind, fileIdentity, offset, arguments: fetched, filter } = definition;
  const words = fetched.map(({ name, expression }) => `${name}=${expression}`);
  const condition = filter === undefined ? [] : [`if ${filter.text}`];
  return [kind, `${fileIdentity}+${offset}`, ...words, ...condition].join(' ');
}

/** Definitions that tell different things, in the order of their consumers. */
export function distinctDefinitions(
  consumers: Iterable<{ readonly definition: ProbeDefinition }>,
): ProbeDefinition[] {
  const distinct = new Map<string, ProbeDefinition>();
  for (const { definition } of consumers) distinct.set(definitionKey(definition), definition);
  return [...distinct.values()];
}

/**
 * Decides for each place.
 *
 * @param places by their addresses
 * @param breakpoints addresses of other breakpoints
 * @param obstacle why the process has no jumps at all
 */
export function wantedJumps(
  places: ReadonlyMap<number, PlaceInMemory>,
  breakpoints: ReadonlySet<number>,
  placements: Placements,
  obstacle: ProcessObstacle | undefined,
): { jumps: Map<number, WantedJump>; obstacles: Map<number, JumpObstacle> } {
  const jumps = new Map<number, WantedJump>();
  const obstacles = new Map<number, JumpObstacle>();
  for (const [address, { definitions, fileBase }] of places) {
    const [first] = definitions;
    if (first === undefined) {
      obstacles.set(address, 'return');
      continue;
    }
    const placement = obstacle === undefined ? placements.of(first) : undefined;
    if (placement?.kind !== 'jump') obstacles.set(address, obstacle ?? placement?.reason ?? 'no-file');
    else if (!definitions.every(fitsSlot)) obstacles.set(address, 'arguments');
    else if (hasNeighbour(address, placement.code.length, places, breakpoints))
      obstacles.set(address, 'neighbour');
    else jumps.set(address, { address, definitions, fileBase, place: placement });
  }
  return { jumps, obstacles };
}

function fitsSlot({ arguments: fetched }: ProbeDefinition): boolean {
  if (fetched.length > TRAMPOLINE_ARGUMENTS_MAX || !fetched.every(canFetch)) return false;
  return slotLayout(fetched).size <= SLOT_BYTES_MAX;
}

function hasNeighbour(
  address: number,
  length: number,
  places: ReadonlyMap<number, unknown>,
  breakpoints: ReadonlySet<number>,
): boolean {
  if (breakpoints.has(address)) return true;
  for (let at = address + 1; at < address + length; at++)
    if (places.has(at) || breakpoints.has(at)) return true;
  return false;
}
