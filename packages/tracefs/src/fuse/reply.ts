/**
 * The answer to one FUSE request, given once: at once, later, or as EINTR when a caller that waits is interrupted.
 *
 * The session makes a reply for each request that a node serves, and keeps it among its waiting replies only
 * when the node has not answered by the time it returns.
 */

import { ERRNO, type ErrnoName } from '@usertrace/base';
import type { Reply } from '../node.ts';

/** Sends reply messages; `body` may be empty. */
export interface ReplySender {
  sendBody(uniqueLow: number, uniqueHigh: number, body: Uint8Array): void;
  sendError(uniqueLow: number, uniqueHigh: number, errno: number): void;
  /** The reply was given: it waits no more. */
  answered(reply: FuseReply<never>): void;
}

const NO_BODY = new Uint8Array(0);

export class FuseReply<Value> implements Reply<Value> {
  readonly uniqueLow: number;
  readonly uniqueHigh: number;
  readonly #sender: ReplySender;
  readonly #encode: (value: Value) => Uint8Array;
  #withdraw: (() => void) | undefined;
  isAnswered = false;

  /** @param encode turns the node's answer into the message's body */
  constructor(
    sender: ReplySender,
    uniqueLow: number,
    uniqueHigh: number,
    encode: (value: Value) => Uint8Array = () => NO_BODY,
  ) {
    this.#sender = sender;
    this.uniqueLow = uniqueLow;
    this.uniqueHigh = uniqueHigh;
    this.#encode = encode;
  }

  done(value: Value): void {
    if (this.isAnswered) return;
    this.isAnswered = true;
    this.#sender.sendBody(this.uniqueLow, this.uniqueHigh, this.#encode(value));
    this.#sender.answered(this);
  }

  fail(code: ErrnoName): void {
    if (this.isAnswered) return;
    this.isAnswered = true;
    this.#sender.sendError(this.uniqueLow, this.uniqueHigh, ERRNO[code]);
    this.#sender.answered(this);
  }

  onInterrupt(withdraw: () => void): void {
    this.#withdraw = withdraw;
  }

  /**
   * A signal reached the caller: what was kept for it is withdrawn, and it gets EINTR. A request that cannot be
   * withdrawn goes on, as uninterruptible system calls do; each of those ends within a deadline of its own.
   */
  interrupt(): void {
    if (this.#withdraw !== undefined) this.giveUp('EINTR');
  }

  /** Withdraws what was kept for the caller, if it waits, and gives it an error. */
  giveUp(code: ErrnoName): void {
    if (this.isAnswered) return;
    this.#withdraw?.();
    this.fail(code);
  }
}
