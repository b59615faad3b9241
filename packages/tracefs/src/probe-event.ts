/**
 * A ProbeEvent is an event of the tree whose records come from probes in programs, and the ProbesPort is who puts these there. The
 * tree makes a ProbeEvent when the port tells of it, and drops it with the last of its probes. Instances listen to it as to a user
 * event.
 */
import type { FilterField } from '@usertrace/abi';
import type { ErrnoName, Tid } from '@usertrace/base';
import type { TraceInstance } from './instance.ts';
import type { Caller } from './node.ts';

/** An event of probes, as the port tells of it. */
export interface ProbeEventIdentity {
  readonly system: string;
  readonly name: string;
  /** Its format file. */
  readonly formatText: (id: number) => string;
  /** What `trace` says of an entry, without the line's end. */
  readonly print: (entry: Uint8Array) => string;
  /** What a filter of it may name. */
  readonly filterFields: readonly FilterField[];
}

/** Why a command to `uprobe_events` was not done. */
export interface ProbeRefusal {
  readonly code: ErrnoName;
  /** What `error_log` gets. */
  readonly log?: { readonly text: string; readonly command: string; readonly position: number };
}

/** Who hears of probes. */
export interface ProbesObserver {
  added(event: ProbeEventIdentity): void;
  removed(system: string, name: string): void;
  hit(system: string, name: string, hit: ProbeHit): void;
}

/** A record of a probe's event. */
export interface ProbeHit {
  readonly tid: Tid;
  /** Of the thread, one character a byte; undefined when nobody could ask for it. */
  readonly comm: string | undefined;
  /** CLOCK_MONOTONIC nanoseconds. */
  readonly timeNs: bigint;
  /** Common fields and fields. */
  readonly entry: Uint8Array;
  /** What follows the common fields. */
  readonly payload: Uint8Array;
}

/** Who has the probes. What it answers may take time; nothing rejects. */
export interface ProbesPort {
  /** Tells of the events that are there, and from then on of what happens. */
  observe(observer: ProbesObserver): void;
  /** What `uprobe_events` says. */
  listing(): Promise<string>;
  /** What `uprobe_profile` says. */
  profile(): Promise<string>;
  /** Does what a line of `uprobe_events` says. */
  execute(line: string, caller: Caller): Promise<ProbeRefusal | undefined>;
  /** Removes all probes. */
  clear(): Promise<ProbeRefusal | undefined>;
  /** Says which events are listened to, as SYSTEM:EVENT; resolves when their probes are in the programs. */
  listen(events: readonly string[]): Promise<void>;
}

/** Numbers of probes' events: user events begin behind them, the tree's own have lower ones. */
export const PROBE_EVENT_IDS = { first: 1000, count: 1000 } as const;

export class ProbeEvent {
  readonly system: string;
  readonly name: string;
  /** What records of it carry as common_type. */
  readonly id: number;
  readonly identity: ProbeEventIdentity;
  readonly #switched: () => Promise<void>;
  readonly #tracers = new Set<TraceInstance>();
  readonly #pastTracers = new Set<TraceInstance>();
  #lastSwitch: Promise<void> = Promise.resolve();

  /** @param switched called when somebody begins or ends to listen; resolves when the probes are as that wants them */
  constructor(identity: ProbeEventIdentity, id: number, switched: () => Promise<void>) {
    this.system = identity.system;
    this.name = identity.name;
    this.identity = identity;
    this.id = id;
    this.#switched = switched;
  }

  /** Whether anybody listens. */
  get isEnabled(): boolean {
    return this.#tracers.size > 0;
  }

  attach(tracer: TraceInstance): void {
    this.#tracers.add(tracer);
    this.#pastTracers.add(tracer);
    this.#lastSwitch = this.#switched();
  }

  detach(tracer: TraceInstance): void {
    this.#tracers.delete(tracer);
    this.#lastSwitch = this.#switched();
  }

  /** Whether a tracer listens, or once did. */
  wasTracedBy(tracer: TraceInstance): boolean {
    return this.#pastTracers.has(tracer);
  }

  /** Calls back when the probes are where the last switch wanted them, or it is known why not. */
  settled(callback: () => void): void {
    void this.#lastSwitch.then(callback);
  }

  /** A probe was hit. */
  record(hit: ProbeHit): void {
    for (const tracer of this.#tracers) tracer.recordHit(this, hit);
  }
}
