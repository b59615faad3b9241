/**
 * One address space with probes in it: its mappings, which of them show probed files, and where breakpoints and raised counters
 * have to be. `bring` makes its memory what it should be, from what is there.
 */

import { BreakpointSet } from '../breakpoint/breakpoint-set.ts';
import type { Slot } from '../breakpoint/slot.ts';
import { FallbackRegion } from '../fallback/fallback-region.ts';
import { JumpCandidates, type JumpParts, type ProbedMemory } from '../jump/jump-candidates.ts';
import type { JumpObstacle } from '../jump/wanted-jumps.ts';
import { type Mapping, mappingAt, readMappings, signatureOf, sourceOf } from '../process/process-maps.ts';
import type { CallFrame } from '../return/call-frames.ts';
import { FollowedCalls } from '../return/followed-calls.ts';
import type { FileMapping } from '../table/table-layout.ts';
import type { TableWriter } from '../table/table-writer.ts';
import type { Consumer } from './consumer.ts';
import { adjustCounters, wantedCounters } from './counters.ts';
import type { FileNumbers } from './file-numbers.ts';
import type { LoaderHooks } from './loader-hook.ts';
import { fileMappings, jumpPlaces, placesIn } from './places-in-memory.ts';
import type { ProbedPlace } from './probed-places.ts';
import { isWrongStop, type SpaceStop, type WantedProbes } from './space-stop.ts';

/** What all address spaces have in common. */
export interface SpaceParts {
  readonly table: TableWriter;
  readonly files: FileNumbers;
  readonly hooks: LoaderHooks;
  readonly jumps: JumpParts;
}

/** What a place has become in a program. */
export interface PlaceState {
  readonly place: ProbedPlace;
  readonly address: number;
  readonly kind: 'jump' | 'breakpoint' | 'refused';
  /** Why it is no jump: a JumpObstacle, or a text for what was refused. */
  readonly reason: string | undefined;
}

/** An address space. */
export class ProbedSpace {
  /** Its name in the table. */
  readonly identity: number;
  readonly #parts: SpaceParts;
  #breakpoints = new BreakpointSet();
  #candidates: JumpCandidates;
  #region: FallbackRegion | undefined;
  #hasLookedForRegion = false;
  #leavesJumps = false;
  #mappings: readonly Mapping[] = [];
  #signature = '';
  #loaderHook: number | undefined;
  /** Calls of functions whose returns are followed from their entry. */
  calls: FollowedCalls = new FollowedCalls();
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
    this.#candidates = new JumpCandidates(parts.jumps);
    this.identity = parts.table.openSpace();
  }

  /** The memory of a child, in which all is as in its parent's when it was made. */
  fork(): ProbedSpace {
    const child = new ProbedSpace(this.#parts);
    child.#breakpoints = this.#breakpoints.fork();
    child.#candidates = this.#candidates.fork();
    child.#loaderHook = this.#loaderHook;
    child.#mappings = this.#mappings;
    child.calls = this.calls.fork();
    return child;
  }

  /** It is gone. */
  close(): void {
    this.#candidates.jumps.close();
    this.#parts.table.closeSpace(this.identity);
  }

  /** Whether breakpoints that killed tracers have left in it are known, or will not be: it could not be looked at. */
  get isKnown(): boolean {
    return this.#hasLookedForRegion || !this.isStale;
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
    const mapped = new Set(this.#fileMappings().map(({ file }) => file));
    return probes.every(({ file }) => mapped.has(file));
  }

  /** Whether a breakpoint is there that is no probe. */
  isOwnPlace(address: number): boolean {
    return address === this.#loaderHook || this.calls.returnAddresses.has(address);
  }

  /** A function is entered. Where it returns to is probed from the next `bring` on, which has to be before the function runs. */
  openCall(frame: CallFrame<Consumer>): void {
    if (this.calls.open(frame)) this.isStale = true;
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
  bring(stop: SpaceStop, wanted: WantedProbes): void {
    const { look, pid } = stop;
    const { probes, counters, hasCalls, isLast } = wanted;
    const { jumps } = this.#candidates;
    this.#mappings = readMappings(pid);
    this.#lookForRegion(stop);
    this.#breakpoints.keepValid(look, this.#mappings, this.#region);
    this.#loaderHook = probes.length > 0 ? this.#parts.hooks.addressIn(pid, this.#mappings) : undefined;
    this.calls.keepValid(this.#mappings, hasCalls);
    const memory = this.#probedMemory(pid, wanted);
    const breakpoints = new Set([...memory.places.keys(), ...memory.others]);
    jumps.keepValid(look, this.#mappings);
    const wantedJumps = this.#candidates.wanted(memory);
    // The table first: a breakpoint is found from its first hit on.
    this.#parts.table.publish(this.identity, this.#fileMappings(), probes);
    const raised = wantedCounters(counters, this.#mappings);
    if (breakpoints.size > 0 || raised.size > 0) {
      this.#region ??= FallbackRegion.map(look, this.#mappings, [...breakpoints, ...raised.keys()][0] ?? 0);
      this.#region.protect(look, stop.isSignalHandled);
    }
    if (stop.still !== undefined) {
      const change = { ...stop, mappings: this.#mappings };
      this.#candidates.change(change, stop.still, wantedJumps, this.#breakpoints, isLast);
      // Memory for trampolines and lanes may have been mapped.
      this.#mappings = readMappings(pid);
    }
    for (const address of jumps.addresses) breakpoints.delete(address);
    this.#insertAll(stop, breakpoints);
    for (const address of this.#breakpoints.addresses)
      if (!breakpoints.has(address) && !jumps.isIn(address)) this.#breakpoints.remove(look, address);
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
  needsStillness(pid: number, wanted: WantedProbes): boolean {
    if (this.#leavesJumps) return false;
    try {
      this.#mappings = readMappings(pid);
      return this.#candidates.needStillness(this.#probedMemory(pid, wanted), this.#mappings, wanted.isLast);
    } catch {
      // It has ended.
      return false;
    }
  }

  /** Its threads cannot be stopped: what is no jump yet becomes a breakpoint; at last, what is one stays, and records nothing. */
  giveUpJumps(pid: number, wanted: WantedProbes, why: JumpObstacle): void {
    this.#leavesJumps = wanted.isLast;
    this.#candidates.giveUp(this.#probedMemory(pid, wanted), why);
  }

  #probedMemory(pid: number, { probes }: WantedProbes): ProbedMemory {
    const others = new Set(this.calls.returnAddresses);
    if (this.#loaderHook !== undefined) others.add(this.#loaderHook);
    return { pid, places: jumpPlaces(probes, this.#fileMappings()), others };
  }

  /** What the wanted places have become, as far as they are mapped. */
  states(probes: readonly ProbedPlace[]): PlaceState[] {
    return placesIn(probes, this.#fileMappings(), (place, address): PlaceState => {
      const refusal = this.#refusals.get(address);
      if (this.#candidates.jumps.isArmed(address)) return { place, address, kind: 'jump', reason: undefined };
      if (refusal !== undefined) return { place, address, kind: 'refused', reason: refusal.reason };
      return { place, address, kind: 'breakpoint', reason: this.#candidates.obstacleAt(address) };
    });
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
        this.calls.refuse(address);
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

  #fileMappings(): FileMapping[] {
    return fileMappings(this.#mappings, this.#parts.files);
  }
}
