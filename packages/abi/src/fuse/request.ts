/**
 * One request of the kernel, read in place from the buffer it was received in.
 *
 * The same object is pointed at each message in turn, so that a write costs no allocation; what it returns as
 * bytes is only valid until the next `receive`.
 */

import { FUSE_SIZE } from './messages.ts';

export class FuseRequest {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Bytes of the message at hand, as its header and the read that brought it agree. */
  length = 0;

  /** @param bytes where messages are received; at least the largest write and a page */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /**
   * Points at the message just received.
   *
   * @param received how many bytes read(2) gave
   * @returns whether it is a whole message
   */
  receive(received: number): boolean {
    this.length = received;
    return received >= FUSE_SIZE.requestHeader && this.#view.getUint32(0, true) === received;
  }

  get opcode(): number {
    return this.#view.getUint32(4, true);
  }

  /** The request's number, low and high half: replies and interrupts name it. */
  get uniqueLow(): number {
    return this.#view.getUint32(8, true);
  }

  get uniqueHigh(): number {
    return this.#view.getUint32(12, true);
  }

  /** Node ids are this server's own and stay below 2^53; a greater one names nothing. */
  get nodeId(): number {
    return this.#wide(16);
  }

  get uid(): number {
    return this.#view.getUint32(24, true);
  }

  get gid(): number {
    return this.#view.getUint32(28, true);
  }

  /** The calling thread in the server's pid namespace, or 0 when it is not visible there. */
  get tid(): number {
    return this.#view.getUint32(32, true);
  }

  /** Bytes behind the header. */
  get bodyLength(): number {
    return this.length - FUSE_SIZE.requestHeader;
  }

  /** A 32-bit number of the body. The caller has checked `bodyLength`. */
  u32(offset: number): number {
    return this.#view.getUint32(FUSE_SIZE.requestHeader + offset, true);
  }

  /** A 64-bit number of the body; above 2^53 it loses its low bits. */
  u64(offset: number): number {
    return this.#wide(FUSE_SIZE.requestHeader + offset);
  }

  /** A 64-bit number of the body, exact. */
  bigU64(offset: number): bigint {
    return this.#view.getBigUint64(FUSE_SIZE.requestHeader + offset, true);
  }

  /** The body's bytes from `offset`, in place. */
  bytes(offset: number, length: number): Uint8Array {
    const start = FUSE_SIZE.requestHeader + offset;
    return this.#bytes.subarray(start, start + length);
  }

  /** A name that ends with a zero byte, as latin1, or undefined when none ends inside the message. */
  name(offset: number): string | undefined {
    const start = FUSE_SIZE.requestHeader + offset;
    const end = this.#bytes.indexOf(0, start);
    if (end < 0 || end >= this.length) return undefined;
    let name = '';
    for (let index = start; index < end; index++) name += String.fromCharCode(this.#bytes[index] ?? 0);
    return name;
  }

  #wide(offset: number): number {
    return this.#view.getUint32(offset, true) + this.#view.getUint32(offset + 4, true) * 0x1_0000_0000;
  }
}
