/** Which of the places that are probed in an address space are to be jumps, and why the others cannot be. */

import type { UnknownReturns } from '../code/return-sites.ts';
import type { ProbeDefinition } from '../definition/definition.ts';
import type { PlannedSite } from '../return/return-plan.ts';
import { fitsSlot } from '../trampoline/slot-layout.ts';
import type { JumpPlace, FileObstacle, Placements } from './placements.ts';
import type { ProcessObstacle } from './process-fitness.ts';

/** Why a probe is a breakpoint. */
export type JumpObstacle =
  | FileObstacle
  | ProcessObstacle
  /** The function's return is followed from its entry, because its `ret`s do not tell all. */
  | UnknownReturns
  /** Its values are more than a slot holds. */
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

/** A place in the memory of a program, with the definitions that are probed there. */
export interface PlaceInMemory {
  readonly definitions: readonly ProbeDefinition[];
  /** Where the file's offset 0 is mapped. */
  readonly fileBase: bigint;
  /** If it is a `ret`, at which its function's returns are probed. */
  readonly site?: PlannedSite;
  /** Why it is no jump, whatever its code and its neighbours are. */
  readonly obstacle?: JumpObstacle;
}

/** A place that is to be a jump. */
export interface WantedJump extends PlaceInMemory {
  /** Of the probed instruction. */
  readonly address: number;
  /** Where the jump begins. */
  readonly start: number;
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
  const returns: WantedJump[] = [];
  for (const [address, inMemory] of places) {
    const { definitions, site } = inMemory;
    const [first] = definitions;
    const why = obstacle ?? inMemory.obstacle;
    const placement = why === undefined && first !== undefined ? placements.of(first, site) : undefined;
    if (placement?.kind !== 'jump') {
      obstacles.set(address, why ?? placement?.reason ?? 'no-file');
      continue;
    }
    const jump = { ...inMemory, address, start: address - placement.bytesBefore, place: placement };
    if (!definitions.every(({ arguments: fetched }) => fitsSlot(fetched)))
      obstacles.set(address, 'arguments');
    else if (hasNeighbour(jump, places, breakpoints)) obstacles.set(address, 'neighbour');
    else if (site === undefined) jumps.set(address, jump);
    else returns.push(jump);
  }
  // Where two jumps of a short function would overlap, that of its entry stands.
  const covered = new Set([...jumps.values()].flatMap(coveredBy));
  for (const jump of returns)
    if (coveredBy(jump).some((at) => covered.has(at))) obstacles.set(jump.address, 'neighbour');
    else jumps.set(jump.address, jump);
  return { jumps, obstacles };
}

/** The addresses that its jump covers. */
function coveredBy({ start, place }: WantedJump): number[] {
  return Array.from(place.code, (_, index) => start + index);
}

/** Whether a probe is there besides its own. */
function hasNeighbour(
  jump: WantedJump,
  places: ReadonlyMap<number, unknown>,
  breakpoints: ReadonlySet<number>,
): boolean {
  return coveredBy(jump).some((at) => breakpoints.has(at) || (at !== jump.address && places.has(at)));
}
