/**
 * The ProbeEvents of a tree: it makes one when the port tells of it and gives it a number, takes hits to it, and tells the port
 * which events are listened to.
 */
import type { Tid } from '@usertrace/base';
import { PROBE_EVENT_IDS, ProbeEvent, type ProbeEventIdentity, type ProbesPort } from './probe-event.ts';

/** What the tree does with them. */
export interface ProbeEventsListener {
  added(event: ProbeEvent): void;
  removed(event: ProbeEvent): void;
  /** Whether another event has that name. */
  has(system: string, name: string): boolean;
  /** A thread that was hit has that name. */
  named(tid: Tid, comm: string): void;
}

export class ProbeEvents {
  readonly #probes: ProbesPort;
  readonly #listener: ProbeEventsListener;
  readonly #byName = new Map<string, ProbeEvent>();
  readonly #usedIds = new Set<number>();
  #followingId: number = PROBE_EVENT_IDS.first;
  /** The switch that is to be told of, for all events that are switched until then. */
  #telling: Promise<void> | undefined;

  constructor(probes: ProbesPort, listener: ProbeEventsListener) {
    this.#probes = probes;
    this.#listener = listener;
    probes.observe({
      added: (identity) => this.#add(identity),
      removed: (system, name) => this.#remove(system, name),
      hit: (system, name, hit) => {
        if (hit.comm !== undefined) listener.named(hit.tid, hit.comm);
        this.#byName.get(`${system}:${name}`)?.record(hit);
      },
    });
  }

  /** Whether somebody listens to one. */
  get isAnyEnabled(): boolean {
    return [...this.#byName.values()].some(({ isEnabled }) => isEnabled);
  }

  #add(identity: ProbeEventIdentity): void {
    const { system, name } = identity;
    const id = this.#freeId();
    // What has no number, or a user event's name, is not seen here; tools that read the programs' files see it.
    if (id === undefined || this.#listener.has(system, name)) return;
    const event = new ProbeEvent(identity, id, () => this.#tell());
    this.#usedIds.add(id);
    this.#byName.set(`${system}:${name}`, event);
    this.#listener.added(event);
  }

  #remove(system: string, name: string): void {
    const event = this.#byName.get(`${system}:${name}`);
    if (event === undefined) return;
    this.#byName.delete(`${system}:${name}`);
    this.#usedIds.delete(event.id);
    this.#listener.removed(event);
  }

  /** One that was given back is used again as late as possible: old records still carry it. */
  #freeId(): number | undefined {
    const { first, count } = PROBE_EVENT_IDS;
    for (let tried = 0; tried < count; tried++) {
      const id = this.#followingId;
      this.#followingId = id + 1 === first + count ? first : id + 1;
      if (!this.#usedIds.has(id)) return id;
    }
    return undefined;
  }

  #tell(): Promise<void> {
    this.#telling ??= Promise.resolve().then(() => {
      this.#telling = undefined;
      const on = [...this.#byName.values()].filter(({ isEnabled }) => isEnabled);
      return this.#probes.listen(on.map(({ system, name }) => `${system}:${name}`));
    });
    return this.#telling;
  }
}
