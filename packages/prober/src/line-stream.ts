/**
 * JSON values over a socket, one a line. Whoever makes a LineStream gives it the socket: it is destroyed when the other side breaks
 * the rules.
 */
import type { Socket } from 'node:net';
import { LINE_BYTES_MAX } from './protocol.ts';

/** What is behind in a socket that its reader does not take, after which the connection is given up: a client that hangs. */
const UNSENT_BYTES_MAX = 4 * LINE_BYTES_MAX;

export class LineStream {
  readonly #socket: Socket;
  readonly #take: (value: unknown) => void;
  #pieces: Buffer[] = [];
  #length = 0;

  /**
   * @param socket connected; its `data` is read here and nowhere else
   * @param take is given each value
   */
  constructor(socket: Socket, take: (value: unknown) => void) {
    this.#socket = socket;
    this.#take = take;
    socket.on('data', (bytes) => this.#receive(bytes));
    // What went wrong is said by `close`, which follows.
    socket.on('error', () => undefined);
  }

  /** Sends a value. To somebody who has hung up it sends nothing. */
  send(value: object): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    this.#socket.write(`${JSON.stringify(value)}\n`);
    if (this.#socket.writableLength > UNSENT_BYTES_MAX) this.#socket.destroy();
  }

  #receive(bytes: Buffer): void {
    let rest = bytes;
    for (let end = rest.indexOf(10); end >= 0 && !this.#socket.destroyed; end = rest.indexOf(10)) {
      const line = Buffer.concat([...this.#pieces, rest.subarray(0, end)]);
      this.#pieces = [];
      this.#length = 0;
      rest = rest.subarray(end + 1);
      this.#takeLine(line);
    }
    if (rest.length === 0) return;
    this.#pieces.push(rest);
    this.#length += rest.length;
    if (this.#length > LINE_BYTES_MAX) this.#socket.destroy();
  }

  #takeLine(line: Buffer): void {
    let value: unknown;
    try {
      value = JSON.parse(line.toString());
    } catch {
      this.#socket.destroy();
      return;
    }
    this.#take(value);
  }
}
