/**
 * `SignalRelay`: which signals CMD has to be sent, and which it has already.
 *
 * Under `usertrace run` three processes share one process group: the outer one, the inner one that serves, and
 * CMD. A terminal's Ctrl-C, or a kill of the group, reaches all three by itself; kill(1) of one process reaches only
 * that one. Node does not tell who sent a signal, but two witnesses do: a signal that both the outer and the inner
 * process heard went to the group; one that a single process heard is passed on.
 */

/** What is passed on; SIGKILL and SIGSTOP cannot be, and SIGTSTP stops the group as it should. */
export const RELAYED_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;

/** A signal that is passed on to CMD. */
export type RelayedSignal = (typeof RELAYED_SIGNALS)[number];

/** Which process heard a signal. */
export type Witness = 'outer' | 'inner';

/** How long the second witness may take, in milliseconds: the outer one's word comes through a pipe. */
const WITNESS_DELAY_MS = 100;

/** Decides for each signal whether it must be passed on. Lives in the inner process as long as CMD. */
export class SignalRelay {
  readonly #passOn: (signal: RelayedSignal) => void;
  readonly #heardAlone = new Map<RelayedSignal, { witness: Witness; timer: NodeJS.Timeout }>();

  /** @param passOn sends the signal to CMD */
  constructor(passOn: (signal: RelayedSignal) => void) {
    this.#passOn = passOn;
  }

  /** One of the processes heard a signal. */
  hear(witness: Witness, signal: RelayedSignal): void {
    const alone = this.#heardAlone.get(signal);
    if (alone === undefined) {
      const timer = setTimeout(() => {
        this.#heardAlone.delete(signal);
        this.#passOn(signal);
      }, WITNESS_DELAY_MS);
      this.#heardAlone.set(signal, { witness, timer });
    } else if (alone.witness !== witness) {
      clearTimeout(alone.timer);
      this.#heardAlone.delete(signal);
    }
    // The same witness again: signals that wait for delivery are one, as in the kernel (signal(7)).
  }

  /** CMD has ended: nothing is passed on any more. */
  close(): void {
    for (const { timer } of this.#heardAlone.values()) clearTimeout(timer);
    this.#heardAlone.clear();
  }
}
