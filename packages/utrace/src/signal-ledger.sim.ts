/** Which signals the simulated programs must have got: those that were sent to them and that no engine ignored. */
import { SIGNAL } from '@usertrace/abi';
import { assert } from '@usertrace/base';
import type { SimThread } from './threads.sim.ts';

export class SignalLedger {
  readonly #ignored = new Map<SimThread, number[]>();

  /** An engine wants a signal not to be delivered. */
  ignore(thread: SimThread, signal: number): void {
    this.#ignored.set(thread, [...(this.#ignored.get(thread) ?? []), signal]);
  }

  /** What was delivered is what was sent, once and in order, without what an engine ignored. */
  check(thread: SimThread): void {
    const ignored = this.#ignored.get(thread) ?? [];
    let at = 0;
    for (const signal of thread.received) {
      while (
        at < thread.sent.length &&
        thread.sent[at] !== signal &&
        ignored.includes(thread.sent[at] as number)
      )
        at += 1;
      assert(
        thread.sent[at] === signal,
        `signal ${signal} was not sent so: ${thread.sent.join()} came as ${thread.received.join()}`,
      );
      at += 1;
    }
    if (ignored.length > 0 || thread.state === 'zombie' || thread.isKilled || thread.isExiting) return;
    const isDelivering = thread.delivering !== 0 && thread.delivering !== SIGNAL.STOP;
    const queued = thread.pending.filter((signal) => signal !== SIGNAL.STOP).length;
    assert(
      thread.received.length + queued + (isDelivering ? 1 : 0) === thread.sent.length,
      `signals were lost: sent ${thread.sent.join()}, got ${thread.received.join()}`,
    );
  }
}
