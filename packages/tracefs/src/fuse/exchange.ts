/**
 * The request at hand and the answers to it: what every handler of a session needs.
 *
 *     SessionPort --request buffer--> Exchange.request
 *                 <--reply buffer---- Exchange.answer, fail, reply
 *                                        '--- waiting replies by unique number
 *
 * A session has one exchange, whose request is pointed at each message in turn: what a reply needs of it later, the
 * reply holds itself.
 */

import { FUSE_NOTIFY_POLL, FUSE_SIZE, FuseRequest } from '@usertrace/abi';
import { ERRNO, type ErrnoName, Tid, Uid } from '@usertrace/base';
import type { Caller } from '../node.ts';
import { FuseReply, type ReplySender } from './reply.ts';

/** The largest write(2) that arrives as one request, and the largest read answered at once. */
export const MAX_TRANSFER_BYTES = 1_048_576;
/** What a buffer for requests must hold: the largest write, its headers, and room for the kernel's minimum. */
export const REQUEST_BUFFER_BYTES: number = MAX_TRANSFER_BYTES + 4096;
/** What a buffer for replies must hold: the largest read and its header. */
export const REPLY_BUFFER_BYTES: number = MAX_TRANSFER_BYTES + FUSE_SIZE.replyHeader;
/** Requests that wait at once; beyond it a request that would wait answers EAGAIN. */
const MAX_WAITING_REPLIES = 16_384;

/** The connection that carries a session's messages. */
export interface SessionPort {
  /** Where a request lies when it is served; at least {@link REQUEST_BUFFER_BYTES}. */
  readonly requestBuffer: Uint8Array<ArrayBuffer>;
  /** Where a reply lies when it is sent; at least {@link REPLY_BUFFER_BYTES}. */
  readonly replyBuffer: Uint8Array<ArrayBuffer>;
  /** Called before each request but those that write events: what it does may depend on which tasks exist. */
  beforeRequest(): void;
  /** Passes the reply buffer's first `length` bytes to the kernel. */
  send(length: number): void;
}

export class Exchange implements ReplySender {
  /** The message that was received last. */
  readonly request: FuseRequest;
  readonly port: SessionPort;
  readonly #waiting = new Map<number, FuseReply<never>>();
  readonly #message: Uint8Array;
  readonly #messageView: DataView;
  readonly #writeOut: Uint8Array;

  constructor(port: SessionPort) {
    this.port = port;
    this.request = new FuseRequest(port.requestBuffer);
    this.#message = port.replyBuffer;
    this.#messageView = new DataView(port.replyBuffer.buffer, port.replyBuffer.byteOffset);
    this.#writeOut = this.#message.subarray(
      FUSE_SIZE.replyHeader,
      FUSE_SIZE.replyHeader + FUSE_SIZE.writeOut,
    );
  }

  /** How many requests wait. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Who sent the request. */
  caller(): Caller {
    const { request } = this;
    return { tid: Tid(request.tid), uid: Uid(request.uid), gid: request.gid };
  }

  /** Answers the request at once. */
  answer(body: Uint8Array): void {
    this.sendBody(this.request.uniqueLow, this.request.uniqueHigh, body);
  }

  /** Answers the request with an error. */
  fail(code: ErrnoName): void {
    this.sendError(this.request.uniqueLow, this.request.uniqueHigh, ERRNO[code]);
  }

  /** The reply for a node to give. Pass it to `keepIfWaiting` when the node has returned. */
  reply<Value>(encode?: (value: Value) => Uint8Array): FuseReply<Value> {
    return new FuseReply<Value>(this, this.request.uniqueLow, this.request.uniqueHigh, encode);
  }

  /** Keeps a reply that its node did not give before it returned. */
  keepIfWaiting(reply: FuseReply<never>): void {
    if (reply.isAnswered) return;
    if (this.#waiting.size >= MAX_WAITING_REPLIES) reply.giveUp('EAGAIN');
    else this.#waiting.set(uniqueNumber(reply), reply);
  }

  /** A signal reached the caller of that request, if it still waits. */
  interrupt(unique: number): void {
    this.#waiting.get(unique)?.interrupt();
  }

  /** Interrupts all that wait, and forgets those that cannot be interrupted. */
  close(): void {
    for (const reply of this.#waiting.values()) reply.interrupt();
    this.#waiting.clear();
  }

  /** The body of the answer to a write, in its own place in the message, so that an event costs no copy. */
  readonly encodeWriteOut = (size: number): Uint8Array => {
    this.#messageView.setUint32(FUSE_SIZE.replyHeader, size, true);
    this.#messageView.setUint32(FUSE_SIZE.replyHeader + 4, 0, true);
    return this.#writeOut;
  };

  /** Tells the kernel that whoever polls by this handle should look again. */
  wakePollers(pollHandle: bigint): void {
    const length = FUSE_SIZE.replyHeader + FUSE_SIZE.pollWakeup;
    this.#putHeader(length, FUSE_NOTIFY_POLL, 0, 0);
    this.#messageView.setBigUint64(FUSE_SIZE.replyHeader, pollHandle, true);
    this.port.send(length);
  }

  sendBody(uniqueLow: number, uniqueHigh: number, body: Uint8Array): void {
    const length = FUSE_SIZE.replyHeader + body.length;
    this.#putHeader(length, 0, uniqueLow, uniqueHigh);
    this.#message.set(body, FUSE_SIZE.replyHeader);
    this.port.send(length);
  }

  sendError(uniqueLow: number, uniqueHigh: number, errno: number): void {
    this.#putHeader(FUSE_SIZE.replyHeader, -errno, uniqueLow, uniqueHigh);
    this.port.send(FUSE_SIZE.replyHeader);
  }

  answered(reply: FuseReply<never>): void {
    this.#waiting.delete(uniqueNumber(reply));
  }

  #putHeader(length: number, error: number, uniqueLow: number, uniqueHigh: number): void {
    this.#messageView.setUint32(0, length, true);
    this.#messageView.setInt32(4, error, true);
    this.#messageView.setUint32(8, uniqueLow, true);
    this.#messageView.setUint32(12, uniqueHigh, true);
  }
}

/** Request numbers grow from 0 by 2; they stay exact in a double for longer than any mount lives. */
function uniqueNumber(reply: { uniqueLow: number; uniqueHigh: number }): number {
  return reply.uniqueLow + reply.uniqueHigh * 0x1_0000_0000;
}
