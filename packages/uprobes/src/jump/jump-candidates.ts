/**
 * The places of one address space that could be jumps: which of them are to be, what came of it, and why the others are breakpoints.
 */

import { ErrnoError } from '@usertrace/base';
import type { BreakpointSet } from '../breakpoint/breakpoint-set.ts';
import type { Mapping } from '../process/process-maps.ts';
import type { SpaceStop, StillThreads } from '../tracer/space-stop.ts';
import { JumpedSpace } from './jumped-space.ts';
import type { Placements } from './placements.ts';
import { processObstacle } from './process-fitness.ts';
import type { SharedLanes } from './shared-lanes.ts';
import type { SpaceStillness } from './stopped-process.ts';
import { ThreadPositions } from './thread-positions.ts';
import { type JumpObstacle, type PlaceInMemory, type WantedJump, wantedJumps } from './wanted-jumps.ts';

/** What all address spaces have in common. */
export interface JumpParts {
  readonly placements: Placements;
  /** Told of each gate that a jump leads to. */
  readonly gateOpened: (lanes: SharedLanes, gate: string) => void;
}

/** What is probed in a memory. */
export interface ProbedMemory {
  /** Of a process that has it. */
  readonly pid: number;
  /** By their addresses. */
  readonly places: ReadonlyMap<number, PlaceInMemory>;
  /** Addresses of breakpoints that are no probes. */
  readonly others: ReadonlySet<number>;
}

/** Those of one address space. */
export class JumpCandidates {
  readonly #parts: JumpParts;
  /** Those that have become jumps. */
  readonly jumps: JumpedSpace;
  /** Why places are breakpoints, by their addresses. Those that were tried in vain stay so until they are not wanted. */
  readonly #obstacles = new Map<number, JumpObstacle>();
  readonly #failed = new Map<number, JumpObstacle>();

  constructor(parts: JumpParts, jumps: JumpedSpace = new JumpedSpace()) {
    this.#parts = parts;
    this.jumps = jumps;
  }

  /** Those of a fork's child. */
  fork(): JumpCandidates {
    return new JumpCandidates(this.#parts, this.jumps.fork());
  }

  /** Why the place there is a breakpoint. */
  obstacleAt(address: number): JumpObstacle | undefined {
    return this.#obstacles.get(address);
  }

  /** Which places are to be jumps, by their addresses. */
  wanted({ pid, places, others }: ProbedMemory): Map<number, WantedJump> {
    for (const address of this.#failed.keys()) if (!places.has(address)) this.#failed.delete(address);
    const obstacle = places.size > 0 ? processObstacle(pid) : undefined;
    const { jumps, obstacles } = wantedJumps(places, others, this.#parts.placements, obstacle);
    this.#obstacles.clear();
    for (const [address, why] of obstacles) this.#obstacles.set(address, why);
    for (const [address, why] of this.#failed) {
      if (jumps.delete(address)) this.#obstacles.set(address, why);
    }
    return jumps;
  }

  /**
   * Whether jumps have to come or go, for which all threads have to stand still.
   *
   * @param isLast whether nothing may be left
   */
  needStillness(memory: ProbedMemory, mappings: readonly Mapping[], isLast: boolean): boolean {
    if (this.jumps.hasLeftovers(mappings)) return true;
    if (isLast && this.jumps.hasMemory(mappings)) return true;
    return this.jumps.differs(this.wanted(memory));
  }

  /** Threads cannot be stopped: what is no jump yet becomes a breakpoint. */
  giveUp(memory: ProbedMemory, why: JumpObstacle): void {
    for (const address of this.wanted(memory).keys())
      if (!this.jumps.isArmed(address)) this.#failed.set(address, why);
  }

  /**
   * Makes the jumps what they should be.
   *
   * @param wanted all that are to be
   * @param breakpoints of the same memory: what a jump covers loses its own
   * @param isLast whether nothing may be left
   * @throws {ErrnoError} EAGAIN when a thread is where code is to change, if it can be tried again
   */
  change(
    { look, pid, mappings }: SpaceStop & { readonly mappings: readonly Mapping[] },
    { tasks, tid, canRetry }: StillThreads,
    wanted: ReadonlyMap<number, WantedJump>,
    breakpoints: BreakpointSet,
    isLast: boolean,
  ): void {
    const positions = new ThreadPositions(tasks, mappings);
    const stillness: SpaceStillness = { look, tid, mappings, positions };
    const waitFor = (isDone: boolean): void => {
      if (!isDone && canRetry) throw new ErrnoError('EAGAIN', 'A thread is where code is to change');
    };
    if (this.jumps.hasLeftovers(mappings)) waitFor(this.jumps.takeLeftovers(stillness, pid, !canRetry));
    this.jumps.disarm(stillness, wanted);
    for (const jump of wanted.values()) {
      if (this.jumps.isArmed(jump.address)) continue;
      const { start, place } = jump;
      for (let at = start; at < start + place.code.length; at++) breakpoints.remove(look, at);
      const forbidden = breakpoints.slotsInto(start, place.code.length);
      const obstacle = this.jumps.arm(stillness, jump, forbidden, this.#parts.gateOpened);
      if (obstacle === undefined) continue;
      waitFor(obstacle !== 'thread-inside');
      this.#failed.set(jump.address, obstacle);
      this.#obstacles.set(jump.address, obstacle);
    }
    this.jumps.freeIdle(stillness);
    if (isLast) waitFor(this.jumps.release(stillness));
  }
}
