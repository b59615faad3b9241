/**
 * The hits of jumps: it gives each gate that is opened a number of its own, finds by the number of a hit which probe and place it was,
 * and empties the lanes of all programs.
 */

import { CounterClock } from '../lane/counter-clock.ts';
import type { HeldSlot, SlotHit } from '../lane/lane.ts';
import { LanesReader } from '../lane/lanes-reader.ts';
import type { SharedLanes } from './shared-lanes.ts';

/** Where a hit of a gate's number was. */
export interface HitPlace {
  /** Of the probe's definition (definitionKey()). */
  readonly definition: string;
  /** Of the instruction; of the function for a return probe. */
  readonly address: number;
}

interface OpenGate extends HitPlace {
  /** Misses that the gate had before. */
  readonly missesBefore: bigint;
}

/** One memory file. */
interface Source {
  readonly reader: LanesReader;
  /** Numbers by the keys of the gates that are open. */
  readonly numbers: Map<string, number>;
  /** Since when a slot waits to be published, in milliseconds. */
  heldSinceMs: number | undefined;
  /** Of each lane: slots below are published by now, or never will be. */
  passedBelow: readonly number[];
}

/** A thread needs microseconds to publish its slot, unless it does not run. */
const HELD_MS = 50;

/** Lanes with slots that wait to be published. */
export interface HeldLanes {
  readonly lanes: SharedLanes;
  readonly slots: readonly HeldSlot[];
  readonly pass: (kept: ReadonlySet<HeldSlot>) => void;
}

/** All of them. */
export class JumpHits {
  readonly #take: (place: HitPlace, hit: SlotHit, timeNs: bigint) => void;
  readonly #clock = new CounterClock();
  readonly #sources = new Map<SharedLanes, Source>();
  readonly #gates = new Map<number, OpenGate>();
  /** Definitions whose gates are shut for now. */
  readonly #unheard = new Set<string>();
  /** Numbers of gates that were shut since the last `drain`. */
  #shut: number[] = [];
  /** Misses of definitions in programs that are gone. */
  readonly #missesOfGone = new Map<string, bigint>();
  #count = 0;

  /** @param take is given each hit, with CLOCK_MONOTONIC nanoseconds; of each lane in its order */
  constructor(take: (place: HitPlace, hit: SlotHit, timeNs: bigint) => void) {
    this.#take = take;
  }

  /** A jump leads to a gate: it is opened if it is not. */
  open(lanes: SharedLanes, gate: string): void {
    const { numbers } = this.#source(lanes);
    if (numbers.has(gate)) return;
    this.#count += 1;
    const end = gate.indexOf(' ');
    this.#gates.set(this.#count, {
      address: Number(gate.slice(0, end)),
      definition: gate.slice(end + 1),
      missesBefore: lanes.misses(gate),
    });
    numbers.set(gate, this.#count);
    if (!this.#unheard.has(gate.slice(end + 1))) lanes.setGate(gate, this.#count);
  }

  /** Whether hits of a definition are recorded, now and by jumps to come. */
  setListening(definition: string, isListening: boolean): void {
    if (isListening) this.#unheard.delete(definition);
    else this.#unheard.add(definition);
    for (const [lanes, { numbers }] of this.#sources) {
      for (const [gate, number] of numbers)
        if (this.#gates.get(number)?.definition === definition) lanes.setGate(gate, isListening ? number : 0);
    }
  }

  /** Nobody wants hits of a definition any more. Those that were recorded are still told by the following `drain`. */
  shut(definition: string): void {
    this.#unheard.delete(definition);
    this.#missesOfGone.delete(definition);
    for (const [lanes, { numbers }] of this.#sources) {
      for (const [gate, number] of numbers) {
        if (this.#gates.get(number)?.definition !== definition) continue;
        numbers.delete(gate);
        this.#shut.push(number);
        lanes.setGate(gate, 0);
      }
    }
  }

  /** Tells what was recorded, and closes the lanes of programs that are gone. */
  drain(): void {
    const shut = this.#shut;
    this.#shut = [];
    for (const [lanes, source] of this.#sources) {
      // Looked at first: what ends between the two is read again.
      const { isUsed } = lanes;
      source.reader.drain((hit, timeNs) => {
        const gate = this.#gates.get(hit.probe);
        if (gate !== undefined) this.#take(gate, hit, timeNs);
      }, source.passedBelow);
      source.heldSinceMs = source.reader.held().some(({ length }) => length > 0)
        ? (source.heldSinceMs ?? performance.now())
        : undefined;
      if (isUsed) continue;
      this.#sources.delete(lanes);
      this.#forget(lanes, source);
      lanes.close();
    }
    for (const number of shut) this.#gates.delete(number);
  }

  /**
   * Lanes in which slots have waited for long: a thread was killed, or left its trampoline by longjmp out of a signal handler, or does
   * not run.
   *
   * @returns for each, `pass` to be called with those of the slots that a thread still has
   */
  heldUp(): HeldLanes[] {
    return [...this.#sources].flatMap(([lanes, source]) => {
      if (source.heldSinceMs === undefined || performance.now() - source.heldSinceMs < HELD_MS) return [];
      source.heldSinceMs = undefined;
      const heads = source.reader.heads();
      const held = source.reader.held();
      const pass = (kept: ReadonlySet<HeldSlot>): void => {
        source.passedBelow = held.map(
          (slots, lane) => slots.find((slot) => kept.has(slot))?.number ?? heads[lane] ?? 0,
        );
      };
      return [{ lanes, slots: held.flat(), pass }];
    });
  }

  /** Hits of a definition for which there was no room, since its gates were opened. */
  misses(definition: string): bigint {
    let misses = this.#missesOfGone.get(definition) ?? 0n;
    for (const [lanes, { numbers }] of this.#sources) {
      for (const [gate, number] of numbers) {
        const open = this.#gates.get(number);
        if (open?.definition === definition) misses += lanes.misses(gate) - open.missesBefore;
      }
    }
    return misses;
  }

  #source(lanes: SharedLanes): Source {
    const known = this.#sources.get(lanes);
    if (known !== undefined) return known;
    const reader = new LanesReader(lanes.memory, lanes.sets, this.#clock);
    const source: Source = { reader, numbers: new Map(), heldSinceMs: undefined, passedBelow: [] };
    this.#sources.set(lanes, source);
    return source;
  }

  #forget(lanes: SharedLanes, { numbers }: Source): void {
    for (const [gate, number] of numbers) {
      const open = this.#gates.get(number);
      this.#gates.delete(number);
      if (open === undefined) continue;
      const misses = lanes.misses(gate) - open.missesBefore;
      this.#missesOfGone.set(open.definition, (this.#missesOfGone.get(open.definition) ?? 0n) + misses);
    }
  }
}
