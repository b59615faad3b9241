/**
 * Events on their way to the outputs. What a callback sees is only put down, so that its task goes on at once; outputs are given
 * many events one after the other, at the end of a round of Node's loop.
 */
import type { EventOutput, WatchEvent } from './watch-event.ts';

/** So many events wait at most. */
const WAITING_MAX = 2_048;

/** Holds events of a round. */
export class EventQueue {
  readonly #outputs: readonly EventOutput[];
  readonly #given: (events: readonly WatchEvent[]) => void;
  readonly #failed: (reason: unknown) => void;
  #events: WatchEvent[] = [];
  #isScheduled = false;

  /**
   * @param outputs get each event, in order
   * @param given told of events that all outputs have got
   * @param failed told of what an output throws; the events of that round that were left are lost
   */
  constructor(
    outputs: readonly EventOutput[],
    given: (events: readonly WatchEvent[]) => void,
    failed: (reason: unknown) => void,
  ) {
    this.#outputs = outputs;
    this.#given = given;
    this.#failed = failed;
  }

  /** Adds an event. */
  add(event: WatchEvent): void {
    this.#events.push(event);
    if (this.#events.length >= WAITING_MAX) this.flush();
    else if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(this.#turn);
    }
  }

  /** Gives what waits to the outputs. */
  flush(): void {
    const events = this.#events;
    if (events.length === 0) return;
    this.#events = [];
    try {
      for (const event of events) for (const output of this.#outputs) output.take(event);
    } catch (error) {
      this.#failed(error);
    }
    this.#given(events);
  }

  readonly #turn = (): void => {
    this.#isScheduled = false;
    this.flush();
  };
}
