/**
 * One address space with probes in it: its mappings, which of them show probed files, and where breakpoints and raised counters
 * have to be. `bring` makes its memory what it should be, from what is there.
 */

import { ErrnoError } from '@usertrace/base';
import type { Examination, Task } from '@usertrace/utrace';
import { FallbackRegion } from '../fallback/fallback-region.ts';
import { JumpedSpace, type SpaceStillness } from '../jump/jumped-space.ts';
import type { Placements } from '../jump/placements.ts';
import { processObstacle } from '../jump/process-fitness.ts';
import type { SharedLanes } from '../jump/shared-lanes.ts';
import { ThreadPositions } from '../jump/thread-positions.ts';
import {
  distinctDefinitions,
  type JumpObstacle,
  type PlaceInMemory,
  type WantedJump,
  wantedJumps,
} from '../jump/wanted-jumps.ts';
import type { FileMapping } from '../table/table-layout.ts';
import type { TableWriter } from '../table/table-writer.ts';
import { type CallFrame, CallFrames } from '../return/call-frames.ts';
import { BreakpointSet } from './breakpoint-set.ts';
import { adjustCounters, type CountedProbe, wantedCounters } from './counters.ts';
import type { FileNumbers } from './file-numbers.ts';
import type { LoaderHooks } from './loader-hook.ts';
import type { Consumer, ProbedPlace } from './probed-places.ts';
import { type Mapping, mappingAt, readMappings, sourceOf } from './process-maps.ts';
import type { Slot } from './slot.ts';

/** What all address spaces have in common. */
export interface SpaceParts {
  readonly table: TableWriter;
  readonly files: FileNumbers;
  readonly hooks: LoaderHooks;
  readonly placements: Placements;
  /** Told of each gate that a jump leads to. */
  readonly gateOpened: (lanes: SharedLanes, gate: string) => void;
}

/** A stop at which an address space can be changed. */
export interface SpaceStop {
  /** At a stopped thread of it, where system calls can be made. */
  readonly look: Examination;
  /** Of a process that has it. */
  readonly pid: number;
  /** Whether that process has a handler for SIGILL. */
  readonly isSignalHandled: boolean;
  /** Told of a probe that cannot be in this memory, and why. */
  readonly refused: (reason: unknown) => void;
  /** If all threads that run in it stand still: then jumps can come and go. */
  readonly still?: StillThreads;
}

/** All threads of an address space, which stand still. */
export interface StillThreads {
  readonly tasks: readonly Task[];
  /** The one that can call the system. */
  readonly tid: number;
  /** Whether it can be tried again when a thread is in the way; else the place becomes a breakpoint. */
  readonly canRetry: boolean;
}

/** What a place has become in a program. */
export interface PlaceState {
  readonly place: ProbedPlace;
  readonly address: number;
  readonly kind: 'jump' | 'breakpoint' | 'refused';
  /** Why it is no jump: a JumpObstacle, or a text for what was refused. */
  readonly reason: string | undefined;
}

/** Places that functions return to, of one program. */
const RETURN_ADDRESSES_MAX = 1_024;

/** What should be in an address space. */
export interface WantedProbes {
  readonly probes: readonly ProbedPlace[];
  readonly counters: readonly CountedProbe[];
  /** Whether calls are followed to where they return. */
  readonly hasCalls: boolean;
  /** Nobody will trace it any more: the program gets back what it had. */
  readonly isLast: boolean;
}

/** An address space. */
export class ProbedSpace {
  /** Its name in the table. */
  readonly identity: number;
  readonly #parts: SpaceParts;
  #breakpoints = new BreakpointSet();
  #jumps = new JumpedSpace();
  /** Why places are breakpoints, by their addresses. Those that were tried in vain stay so until they are not wanted. */
  readonly #obstacles = new Map<number, JumpObstacle>();
  readonly #failed = new Map<number, JumpObstacle>();
  #region: FallbackRegion | undefined;
  #hasLookedForRegion = false;
  #mappings: readonly Mapping[] = [];
  #signature = '';
  #loaderHook: number | undefined;
  /** Calls of functions whose returns are followed from their entry. */
  calls: CallFrames<Consumer> = new CallFrames();
  /** Where these return to. */
  readonly #returnAddresses = new Set<number>();
  /** Addresses that were refused, and what was mapped there. */
  readonly #refusals = new Map<number, { readonly source: string; readonly reason: string }>();
  /** Process ids that share it. */
  readonly users: Set<number> = new Set();
  /** Its memory may not be what it should. */
  isStale: boolean = true;
  /** All its threads are being stopped for a change. */
  isChanging: boolean = false;

  constructor(parts: SpaceParts) {
    this.#parts = parts;
    this.identity = parts.table.openSpace();
  }

  /** The memory of a child, in which all is as in its parent's when it was made. */
  fork(): ProbedSpace {
    const child = new ProbedSpace(this.#parts);
    child.#breakpoints = this.#breakpoints.fork();
    child.#jumps = this.#jumps.fork();
    child.#loaderHook = this.#loaderHook;
    child.#mappings = this.#mappings;
    child.calls = this.calls.fork();
    for (const address of this.#returnAddresses) child.#returnAddresses.add(address);
    return child;
  }

  close(): void {
    this.#jumps.close();
    this.#parts.table.closeSpace(this.identity);
  }

  slotAt(address: number): Slot | undefined {
    return this.#breakpoints.slotAt(address);
  }

  /** Whether the loader tells there of libraries that come and go. */
  isLoaderHook(address: number): boolean {
    return address === this.#loaderHook;
  }

  /** Whether nothing more is to come: all probed files are mapped, or no loader will map them. */
  hasAll(probes: readonly ProbedPlace[]): boolean {
    if (this.#loaderHook === undefined) return true;
    const mapped = new Set(this.#executableMappings().map(({ file }) => file));
    return probes.every(({ file }) => mapped.has(file));
  }

  /** Whether a breakpoint is there that is no probe. */
  isOwnPlace(address: number): boolean {
    return address === this.#loaderHook || this.#returnAddresses.has(address);
  }

  /**
   * A function is entered. Where it returns to is probed from the next `bring` on, which has to be before the function runs.
   *
   * @returns calls whose return will not be seen
   */
  openCall(frame: CallFrame<Consumer>): readonly CallFrame<Consumer>[] {
    const { returnAddress } = frame;
    if (!this.#returnAddresses.has(returnAddress)) {
      if (this.#returnAddresses.size >= RETURN_ADDRESSES_MAX) return [frame];
      this.#returnAddresses.add(returnAddress);
      this.isStale = true;
    }
    return this.calls.open(frame);
  }

  /** Where a file's offset is mapped, if it is. */
  addressOf(identity: string, offset: number): number | undefined {
    const mapping = this.#mappings.find(
      (each) =>
        each.identity === identity && offset >= each.offset && offset - each.offset < each.end - each.start,
    );
    return mapping === undefined ? undefined : mapping.start + offset - mapping.offset;
  }

  /**
   * Whether files are mapped otherwise than when it was brought last.
   *
   * @param pid of a process that has it
   */
  hasOtherMappings(pid: number): boolean {
    try {
      return signatureOf(readMappings(pid)) !== this.#signature;
    } catch {
      // It has ended.
      return false;
    }
  }

  /**
   * Makes its memory and its table what they should be.
   *
   * @throws {ErrnoError} EAGAIN at a stop where no system call can be made, or when a thread is where a jump is to be; ENOSPC when the
   *   table has no room
   */
  bring(stop: SpaceStop, { probes, counters, hasCalls, isLast }: WantedProbes): void {
    const { look, pid } = stop;
    this.#mappings = readMappings(pid);
    this.#lookForRegion(stop);
    this.#breakpoints.keepValid(look, this.#mappings, this.#region);
    const mappings = this.#executableMappings();
    const places = jumpPlaces(probes, mappings);
    const wanted = new Set(places.keys());
    this.#loaderHook = probes.length > 0 ? this.#parts.hooks.addressIn(pid, this.#mappings) : undefined;
    if (this.#loaderHook !== undefined) wanted.add(this.#loaderHook);
    this.#keepReturnAddresses(hasCalls);
    for (const address of this.#returnAddresses) wanted.add(address);
    this.#jumps.keepValid(look, this.#mappings);
    const jumps = this.#wantedJumps(pid, places);
    // The table first: a breakpoint is found from its first hit on.
    this.#parts.table.publish(this.identity, mappings, probes);
    const raised = wantedCounters(counters, this.#mappings);
    if (wanted.size > 0 || raised.size > 0) {
      this.#region ??= FallbackRegion.map(look, this.#mappings, [...wanted, ...raised.keys()][0] ?? 0);
      this.#region.protect(look, stop.isSignalHandled);
    }
    if (stop.still !== undefined) {
      this.#changeJumps(stop, stop.still, jumps, isLast);
      // Memory for trampolines and lanes may have been mapped.
      this.#mappings = readMappings(pid);
    }
    for (const address of this.#jumps.addresses) wanted.delete(address);
    this.#insertAll(stop, wanted);
    for (const address of this.#breakpoints.addresses)
      if (!wanted.has(address) && !this.#jumps.isIn(address)) this.#breakpoints.remove(look, address);
    if (this.#region !== undefined) adjustCounters(look, this.#region, raised, this.#mappings);
    if (isLast) this.#region?.release(look);
    this.#signature = signatureOf(this.#mappings);
    this.isStale = false;
  }

  /**
   * Whether jumps have to come or go, for which all threads have to stand still.
   *
   * @param pid of a process that has it
   */
  needsStillness(pid: number, { probes, isLast }: WantedProbes): boolean {
    try {
      this.#mappings = readMappings(pid);
      if (this.#jumps.hasLeftovers(this.#mappings)) return true;
      if (isLast && this.#jumps.hasMemory(this.#mappings)) return true;
      return this.#jumps.differs(this.#wantedJumps(pid, jumpPlaces(probes, this.#executableMappings())));
    } catch {
      // It has ended.
      return false;
    }
  }

  /** Its threads cannot be stopped: what is no jump yet becomes a breakpoint. */
  giveUpJumps(pid: number, { probes }: WantedProbes, why: JumpObstacle): void {
    const jumps = this.#wantedJumps(pid, jumpPlaces(probes, this.#executableMappings()));
    for (const address of jumps.keys()) if (!this.#jumps.isArmed(address)) this.#failed.set(address, why);
  }

  #wantedJumps(pid: number, places: ReadonlyMap<number, PlaceInMemory>): Map<number, WantedJump> {
    for (const address of this.#failed.keys()) if (!places.has(address)) this.#failed.delete(address);
    const others = new Set(this.#returnAddresses);
    if (this.#loaderHook !== undefined) others.add(this.#loaderHook);
    const obstacle = places.size > 0 ? processObstacle(pid) : undefined;
    const { jumps, obstacles } = wantedJumps(places, others, this.#parts.placements, obstacle);
    this.#obstacles.clear();
    for (const [address, why] of obstacles) this.#obstacles.set(address, why);
    for (const [address, why] of this.#failed) {
      if (jumps.delete(address)) this.#obstacles.set(address, why);
    }
    return jumps;
  }

  #changeJumps(
    { look, pid }: SpaceStop,
    { tasks, tid, canRetry }: StillThreads,
    jumps: ReadonlyMap<number, WantedJump>,
    isLast: boolean,
  ): void {
    const positions = new ThreadPositions(tasks, this.#mappings);
    const stillness: SpaceStillness = { look, tid, mappings: this.#mappings, positions };
    const waitFor = (isDone: boolean): void => {
      if (!isDone && canRetry) throw new ErrnoError('EAGAIN', 'A thread is where code is to change');
    };
    if (this.#jumps.hasLeftovers(this.#mappings))
      waitFor(this.#jumps.takeLeftovers(stillness, pid, !canRetry));
    this.#jumps.disarm(stillness, jumps);
    for (const jump of jumps.values()) {
      if (this.#jumps.isArmed(jump.address)) continue;
      this.#breakpoints.remove(look, jump.address);
      const forbidden = this.#breakpoints.slotsInto(jump.address, jump.place.code.length);
      const obstacle = this.#jumps.arm(stillness, jump, forbidden, this.#parts.gateOpened);
      if (obstacle === undefined) continue;
      waitFor(obstacle !== 'thread-inside');
      this.#failed.set(jump.address, obstacle);
      this.#obstacles.set(jump.address, obstacle);
    }
    this.#jumps.freeIdle(stillness);
    if (isLast) waitFor(this.#jumps.release(stillness));
  }

  /** What the wanted places have become, as far as they are mapped. */
  states(probes: readonly ProbedPlace[]): PlaceState[] {
    return placesIn(probes, this.#executableMappings(), (place, address): PlaceState => {
      const refusal = this.#refusals.get(address);
      if (this.#jumps.isArmed(address)) return { place, address, kind: 'jump', reason: undefined };
      if (refusal !== undefined) return { place, address, kind: 'refused', reason: refusal.reason };
      return { place, address, kind: 'breakpoint', reason: this.#obstacles.get(address) };
    });
  }

  /** Code that is in no file may be moved or written over by its program at any time: nothing is put there. */
  #keepReturnAddresses(hasCalls: boolean): void {
    for (const address of this.#returnAddresses) {
      const mapping = mappingAt(this.#mappings, address);
      const isCode = mapping?.isExecutable === true && mapping.identity !== undefined;
      if (!hasCalls || !isCode) this.#returnAddresses.delete(address);
    }
  }

  #lookForRegion({ look, pid }: SpaceStop): void {
    if (this.#hasLookedForRegion) return;
    this.#region = FallbackRegion.find(look, this.#mappings);
    if (this.#region !== undefined)
      this.#breakpoints.adopt(look, pid, this.#mappings, this.#region.readEntries(look));
    this.#hasLookedForRegion = true;
  }

  #insertAll({ look, refused }: SpaceStop, addresses: Iterable<number>): void {
    for (const address of addresses) {
      if (this.#region === undefined) return;
      try {
        this.#breakpoints.insert(look, this.#mappings, this.#region, address);
      } catch (error) {
        if (isWrongStop(error)) throw error;
        this.#refuse(address, error, refused);
      }
    }
  }

  /** Tells of it once, for as long as the same is mapped there. */
  #refuse(address: number, error: unknown, refused: (reason: unknown) => void): void {
    const source = sourceOf(mappingAt(this.#mappings, address), address) ?? '';
    if (this.#refusals.get(address)?.source === source) return;
    this.#refusals.set(address, { source, reason: error instanceof Error ? error.message : String(error) });
    refused(error);
  }

  #executableMappings(): FileMapping[] {
    const mappings: FileMapping[] = [];
    for (const { start, end, isExecutable, identity, offset } of this.#mappings) {
      const file = identity === undefined ? undefined : this.#parts.files.known(identity);
      if (isExecutable && file !== undefined) mappings.push({ start, end, file, offset });
    }
    return mappings;
  }
}

/** Whether something could not be done only because of where the thread stands, or because it ran on. */
export function isWrongStop(error: unknown): boolean {
  return error instanceof ErrnoError && error.code === 'EAGAIN';
}

/** What has to be the same for probes to stay where they are. */
function signatureOf(mappings: readonly Mapping[]): string {
  return mappings
    .filter(({ isExecutable, isData, identity }) => identity !== undefined && (isExecutable || isData))
    .map(({ start, end, identity, offset }) => `${start} ${end} ${identity} ${offset}`)
    .join('\n');
}

/** Each place that is mapped. */
function placesIn<T>(
  probes: readonly ProbedPlace[],
  mappings: readonly FileMapping[],
  found: (place: ProbedPlace, address: number, fileBase: number) => T,
): T[] {
  return mappings.flatMap(({ start, end, file, offset: mappedOffset }) =>
    probes.flatMap((place) => {
      const address = start + place.offset - mappedOffset;
      const isIn = file === place.file && address >= start && address < end;
      return isIn ? [found(place, address, start - mappedOffset)] : [];
    }),
  );
}

/** What is wanted where, by address. Only instructions can be jumps. */
function jumpPlaces(
  probes: readonly ProbedPlace[],
  mappings: readonly FileMapping[],
): Map<number, PlaceInMemory> {
  const found = placesIn(probes, mappings, ({ roles }, address, fileBase): [number, PlaceInMemory] => {
    const isJumpable = [...roles.values()].every(({ kind }) => kind === 'instruction');
    const definitions = isJumpable ? distinctDefinitions(roles.keys()) : [];
    return [address, { definitions, fileBase: BigInt(fileBase) }];
  });
  return new Map(found);
}
