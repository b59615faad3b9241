/**
 * Encoders generated for one event each: straight code for its fields, with the lane's arrays as constants. They write what
 * is common, ASCII text and values that fit, and hand everything else to the composed encoder before anything is stored
 * for good. An event of {int, int, 15 characters} takes about 17 ns besides the clock's 25 (Node 20).
 */
import type { LaneWriter } from '@usertrace/ring';
import { bytesOf, doubleOf, integerOf, isBytes, isUnshared, lengthOf, longOf, textOf } from './coercion.ts';
import { double, halves, splitLong } from './halves.ts';
import type { ComposedEncoder, EncoderClock, EncoderIdentity } from './composed-encoder.ts';
import { encoderSource } from './encoder-source.ts';
import type { RecordPlan } from './record-plan.ts';

/** What the generated code calls for what it does not do itself. */
export interface EncoderFallbacks {
  /** The word has bits that are not of sessions: the kernel listens, or a server asks for attention. */
  readonly aside: (...values: unknown[]) => void;
  /** Writes values that need it. */
  readonly composer: ComposedEncoder;
}

/** Whether this program may make code from strings (node --disallow-code-generation-from-strings). */
export function mayGenerateCode(): boolean {
  try {
    // oxlint-disable-next-line typescript/no-implied-eval -- the question is whether this is allowed
    return new Function('return true')() === true;
  } catch {
    return false;
  }
}

/**
 * Generates the encoder of an event.
 *
 * @param plan where everything lies
 * @param identity what every record says
 * @param clock when
 * @param lane where the records go
 * @param word the event's enable word, the first element
 * @param fallbacks see there
 * @returns a function of the fields' values, of whatever type, which writes an event when a session wants it
 */
export function generateEncoder(
  plan: RecordPlan,
  identity: EncoderIdentity,
  clock: EncoderClock,
  lane: LaneWriter,
  word: Int32Array,
  fallbacks: EncoderFallbacks,
): (...values: unknown[]) => void {
  const scope = {
    word,
    writer: lane,
    laneWords: lane.words,
    bytes: lane.bytes,
    now: clock.now,
    clock64: clock.clock64,
    clock32: clock.clock32,
    halves,
    double,
    splitLong,
    aside: fallbacks.aside,
    composer: fallbacks.composer,
    // One array for all calls, so that handing values on allocates nothing.
    values: plan.fields.map((): unknown => undefined),
    integerOf,
    longOf,
    doubleOf,
    textOf,
    isBytes,
    bytesOf,
    lengthOf,
    isUnshared,
  };
  const source = encoderSource(plan, identity);
  // oxlint-disable-next-line typescript/no-implied-eval -- made of numbers alone: no name or value of the program is in it
  const make = new Function(...Object.keys(scope), source) as (
    ...values: unknown[]
  ) => (...values: unknown[]) => void;
  return make(...Object.values(scope));
}
