/** The loop of commands that follow programs: turn after turn until they are told to stop. */

import { setImmediate as nextRound, setTimeout as delay } from 'node:timers/promises';

/** Signals that end such a command in good order; the second one ends it at once. */
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** A signal so soon after the end, in milliseconds, is the same one: a terminal's Ctrl-C that npx passes on as well. */
const ECHO_MS = 300;

/** A loop of turns, which pauses in between. */
export class TurnLoop {
  #pause = new AbortController();

  /** Ends the present pause. */
  readonly wake = (): void => this.#pause.abort();

  /**
   * Takes turns until it is told to stop.
   *
   * @param turn does what there is to do, and returns how many milliseconds it may be until the following turn; 0: at
   *   once
   * @param stop ends the loop, also in the middle of a pause
   */
  async run(turn: () => number, stop: AbortSignal): Promise<void> {
    stop.addEventListener('abort', this.wake);
    while (!stop.aborted) {
      this.#pause = new AbortController();
      const pauseMs = turn();
      if (pauseMs <= 0) await nextRound();
      else await delay(pauseMs, undefined, { signal: this.#pause.signal }).catch(() => undefined);
    }
    stop.removeEventListener('abort', this.wake);
  }
}

/** A signal that is aborted when the user ends the command, or after some time. */
export function endOfCommand(durationMs?: number): AbortController {
  const controller = new AbortController();
  const end = (): void => controller.abort();
  for (const signal of ENDING_SIGNALS) process.on(signal, end);
  const timer = durationMs === undefined ? undefined : setTimeout(end, durationMs);
  controller.signal.addEventListener('abort', () => {
    clearTimeout(timer);
    setTimeout(() => {
      for (const signal of ENDING_SIGNALS) process.off(signal, end);
    }, ECHO_MS).unref();
  });
  return controller;
}
