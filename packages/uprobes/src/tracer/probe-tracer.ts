/**
 * Probes in processes that are traced. All of it runs on the thread that traces. utrace has the threads; it has
 *
 *     ProbedPlaces      what is probed, by file and offset
 *     AddressSpaces     what is in the memory of each process: a ProbedSpace, with its breakpoints, jumps and calls
 *     ProgramEvents     what programs do
 *     SpaceChanges      the stops at which the memory becomes what it should be
 *     BreakpointHits    a SIGILL that the kernel made at a breakpoint
 *     JumpHits          what trampolines have written into lanes
 *     Consumers         who is told
 */

import type { ProcessEngine, Target, Utrace } from '@usertrace/utrace';
import { BreakpointHits } from '../breakpoint/breakpoint-hits.ts';
import type { ProbeDefinition } from '../definition/definition.ts';
import { JumpHits } from '../jump/jump-hits.ts';
import { LostSlots } from '../jump/lost-slots.ts';
import { Placements } from '../jump/placements.ts';
import { definitionKey } from '../jump/wanted-jumps.ts';
import { SharedTableMemory } from '../table/table-memory.ts';
import { TableReader } from '../table/table-reader.ts';
import { TableWriter } from '../table/table-writer.ts';
import { AnalysedFiles } from '../target/analysed-files.ts';
import { AddressSpaces } from './address-spaces.ts';
import type { Consumer, Hit } from './consumer.ts';
import { Consumers } from './consumers.ts';
import { detach } from './detachment.ts';
import { FileNumbers } from './file-numbers.ts';
import { LoaderHooks } from './loader-hook.ts';
import { ProbedPlaces } from './probed-places.ts';
import type { PlaceState } from './probed-space.ts';
import { ProgramEvents } from './program-events.ts';
import { SpaceChanges } from './space-changes.ts';
import type { WantedProbes } from './space-stop.ts';
import { wantedPlaces } from './wanted-places.ts';

/** Lanes are read so often; they have room for the hits of 1.6 million calls a second. */
const DRAIN_MS = 10;
/** Mappings that no loader tells of are found after so long. Reading them takes some 50 µs for a process. */
const LOOK_MS = 100;
const OPTIONS = { events: ProgramEvents.EVENTS, follow: true };

/** What a probe has become in a process. */
export interface ProbeState extends Omit<PlaceState, 'place'> {
  readonly pid: number;
  /** The object that was given to `add`. */
  readonly definition: ProbeDefinition;
}

/** Probes in processes that are attached to and their children. */
export class ProbeTracer {
  readonly #utrace: Utrace;
  readonly #files = new AnalysedFiles();
  readonly #places: ProbedPlaces;
  readonly #spaces: AddressSpaces;
  readonly #changes: SpaceChanges;
  readonly #consumers: Consumers;
  readonly #events: ProgramEvents;
  readonly #jumpHits: JumpHits;
  readonly #groups = new Set<ProcessEngine>();
  readonly #look: NodeJS.Timeout;
  readonly #drain: NodeJS.Timeout;
  #isClosing = false;

  /**
   * @param utrace whose thread this is; stays the caller's, and open until this is closed
   * @param refused told of a probe that cannot be put into a program, and why; and of what a probe's callback throws
   */
  constructor(utrace: Utrace, refused: (reason: unknown) => void) {
    this.#utrace = utrace;
    const memory = SharedTableMemory.create();
    const table = new TableWriter(memory);
    const files = new FileNumbers();
    this.#consumers = new Consumers(refused);
    this.#places = new ProbedPlaces(files);
    const jumpHits = new JumpHits((place, hit, timeNs) => this.#consumers.tell(place, hit, timeNs));
    this.#jumpHits = jumpHits;
    const jumps = {
      placements: new Placements(this.#files),
      gateOpened: jumpHits.open.bind(jumpHits),
    };
    this.#spaces = new AddressSpaces({ table, files, hooks: new LoaderHooks(), jumps });
    this.#changes = new SpaceChanges(utrace, this.#spaces, () => this.#wanted, refused);
    const reader = new TableReader(memory, table.addReader());
    const breakpointHits = new BreakpointHits(this.#places, reader, refused);
    this.#events = new ProgramEvents(this.#places, this.#spaces, this.#changes, breakpointHits);
    const lostSlots = new LostSlots(utrace, jumpHits, refused);
    this.#drain = setInterval(() => {
      this.drain();
      void lostSlots.pass();
    }, DRAIN_MS).unref();
    this.#look = setInterval(() => {
      if (this.#places.all.length > 0) this.#changes.lookForMappings();
    }, LOOK_MS).unref();
  }

  /**
   * Attaches to a process, its children to come included, and puts all probes into it.
   *
   * @throws {ErrnoError} as Utrace.attach
   */
  async attach(target: Target): Promise<ProcessEngine> {
    const group = this.#utrace.attach(target, this.#events.callbacks, OPTIONS);
    this.#groups.add(group);
    this.#spaces.of(group.tgid).isStale = true;
    await this.#changes.bringAll();
    return group;
  }

  /**
   * Starts a program with all probes in it from its first instruction on.
   *
   * @throws {ErrnoError} as Utrace.spawn
   */
  spawn(launch: Parameters<Utrace['spawn']>[0]): ProcessEngine {
    const group = this.#utrace.spawn(launch, this.#events.callbacks, OPTIONS);
    this.#groups.add(group);
    return group;
  }

  /**
   * Puts a probe into every process that maps its file. When this is done it is there.
   *
   * @param definition `fileIdentity` as fileIdentity() makes it
   * @param hit called for each hit, while the thread stands still
   * @returns takes the probe away; done when no breakpoint of it is left
   * @throws {ErrnoError} EINVAL for the return of what is not a function's beginning; ETIMEDOUT when a process does not stop in 5 s: the probe will be there when it
   *   does
   */
  async add(definition: ProbeDefinition, hit: (hit: Hit) => void): Promise<() => Promise<void>> {
    const consumer: Consumer = { definition, hit, misses: 0 };
    this.#places.add(consumer, wantedPlaces(definition, this.#files));
    this.#consumers.add(consumer);
    await this.#changes.bringStale();
    return async () => {
      if (!this.#places.remove(consumer)) return;
      if (this.#consumers.isOnly(consumer)) this.#jumpHits.shut(definitionKey(definition));
      for (const space of this.#spaces.byProcess.values()) space.calls.dropConsumer(consumer);
      try {
        await this.#changes.bringStale();
      } finally {
        this.drain();
        this.#consumers.remove(consumer);
      }
    };
  }

  /**
   * Takes all breakpoints away and lets go of all processes.
   *
   * @throws {ErrnoError} ETIMEDOUT when a process does not stop in 5 s
   */
  async close(): Promise<void> {
    clearInterval(this.#look);
    clearInterval(this.#drain);
    this.#places.clear();
    this.#isClosing = true;
    await this.#changes.bringStale();
    this.drain();
    const groups = [...this.#groups];
    this.#groups.clear();
    await Promise.all(groups.map(detach));
    this.#spaces.close();
    this.drain();
  }

  /** What each probe has become in each process that has its file mapped; a return probe has several places. */
  places(): ProbeState[] {
    const probes = this.#places.all;
    return [...this.#spaces.byProcess].flatMap(([pid, space]) =>
      space
        .states(probes)
        .flatMap(({ place, address, kind, reason }) =>
          [...place.roles.keys()].map(({ definition }) => ({ pid, definition, address, kind, reason })),
        ),
    );
  }

  /**
   * Whether somebody listens to a definition: while nobody does, its jumps record nothing and cost some nanoseconds. It is listened
   * to when it is added. Hits of breakpoints are told all the same.
   */
  setListening(definition: ProbeDefinition, isListening: boolean): void {
    this.#jumpHits.setListening(definitionKey(definition), isListening);
  }

  /**
   * Hits of a definition that were not told: jumps' that found no room in a lane, and returns that could not be followed from the
   * function's entry. They are counted for as long as it is added.
   */
  misses(definition: ProbeDefinition): number {
    return Number(this.#jumpHits.misses(definitionKey(definition))) + this.#consumers.misses(definition);
  }

  /** Tells the hits of jumps that were recorded up to now. That is done every 10 ms without being asked for. */
  drain(): void {
    this.#jumpHits.drain();
  }

  get #wanted(): WantedProbes {
    const { all: probes, counters, hasCalls } = this.#places;
    return { probes, counters, hasCalls, isLast: this.#isClosing };
  }
}
