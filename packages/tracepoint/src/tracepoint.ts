/**
 * Tracepoints, as programs declare and call them. A tracepoint is a function that looks at its enable word, one load and one
 * test, and calls the event's encoder when somebody listens. There is one for each name and thread.
 */
import type { ArgumentsOf, Fields } from './arguments.ts';
import { type Declaration, declarationOf } from './declaration.ts';
import { mayGenerateCode } from './encoder/generated-encoder.ts';
import type { RecordFunction } from './provider/event-emitter.ts';
import { Provider } from './provider/provider.ts';
import type { Settings } from './settings.ts';

/** An event of this program that can be recorded. */
export interface Tracepoint<Arguments extends readonly unknown[] = readonly unknown[]> {
  /** Records the event, when somebody listens; else nothing happens. Never throws, and never waits for a reader. */
  (...values: Arguments): void;
  /** The event's name. */
  readonly name: string;
  /** Whether somebody listens. Ask it before work that is only done for the event. */
  readonly enabled: boolean;
  /** The same as calling the tracepoint itself. */
  readonly emit: (...values: Arguments) => void;
}

interface KnownTracepoint {
  readonly tracepoint: Tracepoint;
  readonly identity: string;
}

/** What all copies of this package in a thread share. */
interface Shared {
  readonly provider: Provider;
  readonly byName: Map<string, KnownTracepoint>;
}

const SHARED = Symbol.for('usertrace.provider.1');

function shared(): Shared {
  const home = globalThis as { [SHARED]?: Shared };
  home[SHARED] ??= { provider: new Provider(), byName: new Map() };
  return home[SHARED];
}

/**
 * Declares a tracepoint. Costs about 0.1 ms; the first of a thread some milliseconds, in which the provider file is made.
 *
 * @param name the event's: letters, digits and `_`
 * @param fields names and types of what it records, in the order of the arguments; also as a list of pairs
 * @returns the tracepoint; the same one when the thread has declared the same event before
 * @throws {TypeError} for what the kernel's user_events, or a reader of traces, would not take; the message names the rule
 * @throws {Error} when the thread has declared an event of this name and other fields
 */
export function tracepoint<const Declared extends Fields = readonly []>(
  name: string,
  fields?: Declared,
): Tracepoint<ArgumentsOf<Declared>> {
  const declaration = declarationOf(name, fields ?? []);
  const { provider, byName } = shared();
  const identity = `${declaration.command}\n${declaration.fields.map(({ storage }) => storage).join()}`;
  let declared = byName.get(name);
  if (declared !== undefined && declared.identity !== identity) {
    throw new Error(
      `Cannot declare tracepoint "${name}": this thread has one of that name with other fields`,
    );
  }
  if (declared === undefined) {
    declared = { tracepoint: makeTracepoint(provider, declaration), identity };
    byName.set(name, declared);
  }
  return declared.tracepoint;
}

/**
 * Why events of this thread are not recorded.
 *
 * @returns the reason, such as a platform that has no shared memory; undefined when they can be
 */
export function unavailable(): string | undefined {
  return shared().provider.unavailable();
}

/**
 * Sets what can be set, for this thread. Call it before an event is on.
 *
 * @throws {RangeError} for a size out of bounds
 * @throws {Error} when it is too late
 */
export function configure(settings: Settings): void {
  if (settings.laneBytes !== undefined) shared().provider.setLaneBytes(settings.laneBytes);
}

/**
 * Switches on events of this thread, those that it has and those that it will declare: a flight recorder, which keeps the
 * last ones in memory (`usertrace snapshot`, `usertrace recover`). The same as $USERTRACE_ENABLE, which takes several
 * patterns separated by commas.
 *
 * @param pattern a glob of event names, such as `http_*`
 * @throws {Error} for what is no pattern, or one too many
 */
export function enable(pattern: string): void {
  shared().provider.switchStanding(pattern, true);
}

/**
 * Switches off events that enable() switched on. Tracers that listen to them are not disturbed.
 *
 * @param pattern a glob of event names
 * @throws {Error} for what is no pattern
 */
export function disable(pattern: string): void {
  shared().provider.switchStanding(pattern, false);
}

/** The function of a tracepoint, and how to change what it calls when its event is on. */
interface TracepointParts {
  readonly tracepoint: Tracepoint;
  readonly install: (record: RecordFunction) => void;
}

let sourcesMade = 0;

function makeTracepoint(provider: Provider, declaration: Declaration): Tracepoint {
  let parts: TracepointParts | undefined;
  const emitter = provider.add(declaration, (record) => parts?.install(record));
  const { buffer, byteOffset } = emitter?.word ?? new Int32Array(1);
  const word = new DataView(buffer, byteOffset, Int32Array.BYTES_PER_ELEMENT);
  const record = emitter?.record ?? ((): void => {});
  const { name, fields } = declaration;
  parts = mayGenerateCode()
    ? generatedParts(name, fields.length, word, record)
    : composedParts(name, word, record);
  return parts.tracepoint;
}

/**
 * With arguments of its own instead of a rest array, and a source of its own, so that V8 shares nothing between events.
 * `enabled` is inherited from an object of the tracepoint's own: as a property of the function itself, or on a function
 * that was renamed, it would take 8 ns instead of 0.3, because V8 has slow properties for that. The word is looked at
 * through a DataView, which is 0.1 ns less than an element of an array, and is loaded anew each time all the same.
 */
function generatedParts(
  name: string,
  arity: number,
  word: DataView,
  record: RecordFunction,
): TracepointParts {
  const values = Array.from({ length: arity }, (_, index) => `a${index}`).join(', ');
  sourcesMade += 1;
  // oxlint-disable-next-line typescript/no-implied-eval -- made of numbers alone
  const make = new Function(
    'name',
    'word',
    'record',
    `'use strict'; // tracepoint ${sourcesMade}
const tracepoint = { [name](${values}) { if (word.getInt32(0, true) !== 0) record(${values}); } }[name];
const inherited = { __proto__: Function.prototype, get enabled() { return word.getInt32(0, true) !== 0; }, emit: tracepoint };
Object.setPrototypeOf(tracepoint, inherited);
return { tracepoint, install(installed) { record = installed; } };`,
  ) as (name: string, word: DataView, record: RecordFunction) => TracepointParts;
  return make(name, word, record);
}

function composedParts(name: string, word: DataView, first: RecordFunction): TracepointParts {
  let record = first;
  const named = {
    [name](...values: unknown[]): void {
      if (word.getInt32(0, true) !== 0) record(...values);
    },
  };
  const made = named[name] as RecordFunction;
  const inherited = {
    get enabled(): boolean {
      return word.getInt32(0, true) !== 0;
    },
    emit: made,
  };
  Object.setPrototypeOf(made, Object.setPrototypeOf(inherited, Function.prototype) as object);
  return {
    tracepoint: made as unknown as Tracepoint,
    install: (installed) => {
      record = installed;
    },
  };
}
