/**
 * The options of a trace instance (`trace_options`, `options/`), documented in Documentation/trace/ftrace.rst.
 * An instance holds one InstanceOptions; the table of names never changes.
 */

import type { ErrnoName } from '@usertrace/base';

/** An option's name as in `options/`. */
export type TraceOptionName =
  | 'print-parent'
  | 'sym-offset'
  | 'sym-addr'
  | 'verbose'
  | 'raw'
  | 'hex'
  | 'bin'
  | 'block'
  | 'fields'
  | 'trace_printk'
  | 'annotate'
  | 'userstacktrace'
  | 'sym-userobj'
  | 'printk-msg-only'
  | 'context-info'
  | 'latency-format'
  | 'record-cmd'
  | 'record-tgid'
  | 'overwrite'
  | 'disable_on_free'
  | 'irq-info'
  | 'markers'
  | 'event-fork'
  | 'trace_printk_dest'
  | 'pause-on-trace'
  | 'hash-ptr'
  | 'function-trace'
  | 'function-fork'
  | 'stacktrace'
  | 'test_nop_accept'
  | 'test_nop_refuse';

interface OptionRule {
  readonly isOnAtFirst: boolean;
  /** Only the top instance has a file for it. */
  readonly topOnly?: true;
  /** Whether it starts the same in a new instance as at the top; it is off there otherwise. */
  readonly offInInstances?: true;
  /** The nop tracer's own, which it made to be refused. */
  readonly refused?: true;
}

/**
 * The options of the kernel's core and of its nop tracer, in the kernel's order. Those that concern only tracers
 * or kernel addresses, which are not here, can be set and change nothing.
 */
const OPTIONS: Record<TraceOptionName, OptionRule> = {
  'print-parent': { isOnAtFirst: true },
  'sym-offset': { isOnAtFirst: false },
  'sym-addr': { isOnAtFirst: false },
  verbose: { isOnAtFirst: false },
  raw: { isOnAtFirst: false },
  hex: { isOnAtFirst: false },
  bin: { isOnAtFirst: false },
  block: { isOnAtFirst: false },
  fields: { isOnAtFirst: false },
  trace_printk: { isOnAtFirst: true, topOnly: true },
  annotate: { isOnAtFirst: true },
  userstacktrace: { isOnAtFirst: false },
  'sym-userobj': { isOnAtFirst: false },
  'printk-msg-only': { isOnAtFirst: false, topOnly: true },
  'context-info': { isOnAtFirst: true },
  'latency-format': { isOnAtFirst: false },
  'record-cmd': { isOnAtFirst: true, topOnly: true },
  'record-tgid': { isOnAtFirst: false },
  overwrite: { isOnAtFirst: true },
  disable_on_free: { isOnAtFirst: false },
  'irq-info': { isOnAtFirst: true },
  markers: { isOnAtFirst: true },
  'event-fork': { isOnAtFirst: false },
  trace_printk_dest: { isOnAtFirst: true, offInInstances: true },
  'pause-on-trace': { isOnAtFirst: false },
  'hash-ptr': { isOnAtFirst: true },
  'function-trace': { isOnAtFirst: true },
  'function-fork': { isOnAtFirst: false },
  stacktrace: { isOnAtFirst: false },
  test_nop_accept: { isOnAtFirst: false },
  test_nop_refuse: { isOnAtFirst: false, refused: true },
};

const NAMES = Object.keys(OPTIONS) as TraceOptionName[];

export class InstanceOptions {
  readonly #on: Set<TraceOptionName>;
  readonly #isTop: boolean;
  readonly #changed: (name: TraceOptionName, isOn: boolean) => void;

  /**
   * @param isTop whether the instance is the top one
   * @param changed is told of every option that changes
   */
  constructor(isTop: boolean, changed: (name: TraceOptionName, isOn: boolean) => void) {
    this.#isTop = isTop;
    this.#changed = changed;
    this.#on = new Set(
      NAMES.filter((name) => {
        const rule = OPTIONS[name];
        return rule.isOnAtFirst && (isTop || rule.offInInstances !== true);
      }),
    );
  }

  /** The names that have a file in `options/`. */
  get fileNames(): TraceOptionName[] {
    return NAMES.filter((name) => this.#isTop || OPTIONS[name].topOnly !== true);
  }

  isOn(name: TraceOptionName): boolean {
    return this.#on.has(name);
  }

  /** Answers EINVAL for the option that is always refused. */
  set(name: TraceOptionName, isOn: boolean): ErrnoName | undefined {
    if (OPTIONS[name].refused === true) return isOn ? 'EINVAL' : undefined;
    if (this.isOn(name) === isOn) return undefined;
    if (isOn) this.#on.add(name);
    else this.#on.delete(name);
    this.#changed(name, isOn);
    return undefined;
  }

  /**
   * Sets the option that a text names: `overwrite` switches on, `nooverwrite` off.
   *
   * @param text without spaces around it
   */
  setByText(text: string): ErrnoName | undefined {
    const isOn = !text.startsWith('no');
    const name = NAMES.find((candidate) => candidate === (isOn ? text : text.slice(2)));
    return name === undefined ? 'EINVAL' : this.set(name, isOn);
  }

  /** The text of `trace_options`: a line for each option. */
  text(): string {
    return NAMES.map((name) => `${this.isOn(name) ? '' : 'no'}${name}\n`).join('');
  }
}
