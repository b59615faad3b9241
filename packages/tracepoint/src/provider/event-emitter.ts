/**
 * One event of this thread: what stands between its tracepoint and the lane. Until a session wants it the first time, its
 * `record` is a stub that makes the encoder; then it is the encoder. The tracepoint's own function calls whatever
 * `record` is, and only when the enable word is not zero.
 */
import { COMMON_FIELDS_SIZE, SESSION_COUNT_MASK } from '@usertrace/abi';
import type { LaneWriter } from '@usertrace/ring';
import type { Declaration } from '../declaration.ts';
import { ComposedEncoder, type EncoderClock, type EncoderIdentity } from '../encoder/composed-encoder.ts';
import { generateEncoder, mayGenerateCode } from '../encoder/generated-encoder.ts';
import { type RecordPlan, recordPlanOf } from '../encoder/record-plan.ts';

/** The bytes of an enable word by which a server asks for attention, or which nobody should have set. */
const ATTENTION_MASK = 0xff_ff00;

/** Writes an event of any values. */
export type RecordFunction = (...values: unknown[]) => void;

/** What an event needs of its thread's provider. */
export interface EmitterHost {
  readonly clock: EncoderClock;
  /** The lane; undefined when there is no memory for it. */
  lane(): LaneWriter | undefined;
  /** A lane that nobody reads, for records that go to the kernel only. */
  scratchLane(): LaneWriter;
  /** A server asks for attention, through the words. */
  attend(): void;
  /** Gives an event to the kernel: the payload, with four bytes before it for the write index. */
  writeToKernel(index: number, record: Uint8Array): void;
}

export class EventEmitter {
  readonly index: number;
  readonly declaration: Declaration;
  readonly word: Int32Array;
  /** What the tracepoint calls. */
  record: RecordFunction;
  readonly #host: EmitterHost;
  readonly #plan: RecordPlan;
  readonly #identity: EncoderIdentity;
  readonly #composer: ComposedEncoder;
  readonly #install: (record: RecordFunction) => void;

  /**
   * @param declaration what the event is
   * @param index its place in the table
   * @param word its enable word, alone
   * @param identity what its records say
   * @param host the provider
   * @param install told of every new `record`
   */
  constructor(
    declaration: Declaration,
    index: number,
    word: Int32Array,
    identity: EncoderIdentity,
    host: EmitterHost,
    install: (record: RecordFunction) => void,
  ) {
    this.declaration = declaration;
    this.index = index;
    this.word = word;
    this.#host = host;
    this.#plan = recordPlanOf(declaration.fields);
    this.#identity = identity;
    this.#composer = new ComposedEncoder(this.#plan, identity, host.clock);
    this.#install = install;
    this.record = (...values) => this.#recordFirst(values);
  }

  #recordFirst(values: unknown[]): void {
    const wanted = this.word[0] as number;
    const lane = (wanted & SESSION_COUNT_MASK) === 0 ? undefined : this.#host.lane();
    if (lane === undefined) {
      this.#composer.coerce(values);
      this.#aside(values);
      return;
    }
    this.record = this.#encoderFor(lane);
    this.#install(this.record);
    this.record(...values);
  }

  #encoderFor(lane: LaneWriter): RecordFunction {
    const aside: RecordFunction = (...values) => this.#aside(values);
    if (mayGenerateCode()) {
      const { clock } = this.#host;
      const fallbacks = { aside, composer: this.#composer };
      return generateEncoder(this.#plan, this.#identity, clock, lane, this.word, fallbacks);
    }
    return (...values) => {
      this.#composer.coerce(values);
      const wanted = this.word[0] as number;
      if ((wanted & ~SESSION_COUNT_MASK) !== 0) this.#aside(values);
      if ((wanted & SESSION_COUNT_MASK) !== 0) this.#composer.write(lane, values);
    };
  }

  /** What the word asks for besides the lane. Costs a system call when the kernel listens. */
  #aside(values: readonly unknown[]): void {
    if (((this.word[0] as number) & ATTENTION_MASK) !== 0) this.#host.attend();
    if ((this.word[0] as number) >= 0) return;
    const lane = this.#host.scratchLane();
    const entry = this.#composer.write(lane, values);
    // The write index takes the place of the entry's pid, directly before the payload.
    const payload = entry * 4 + COMMON_FIELDS_SIZE;
    const end = this.#plan.isVariable ? lane.at * 4 : payload + this.#plan.payloadSize;
    this.#host.writeToKernel(this.index, lane.bytes.subarray(payload - 4, end));
  }
}
