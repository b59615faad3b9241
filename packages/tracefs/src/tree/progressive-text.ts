/**
 * A text that is rendered while it is read, so that a trace of many megabytes never exists as one string.
 *
 * An open file holds a ProgressiveText; that holds the source's iterator and the last piece it gave. A read that
 * continues where the last one ended costs what it returns; one before the kept piece renders anew, as
 * seq_file does in the kernel.
 */

import { bytesOf } from './written-text.ts';

/** Makes the text anew: its pieces in order. */
export type TextSource = () => Iterable<string>;

export class ProgressiveText {
  readonly #source: TextSource;
  #pieces: Iterator<string> | undefined;
  #piece: Uint8Array = new Uint8Array(0);
  /** Where in the text the kept piece starts, in bytes. */
  #pieceStart = 0;

  constructor(source: TextSource) {
    this.#source = source;
  }

  /**
   * @param offset where to start, in bytes from the start of the text
   * @param size how many bytes to return at most
   * @returns as many as there are; none at the end of the text
   */
  read(offset: number, size: number): Uint8Array {
    if (this.#pieces === undefined || offset < this.#pieceStart || offset === 0) this.#restart();
    const parts: Uint8Array[] = [];
    let position = offset;
    const end = offset + size;
    while (position < end) {
      const pieceEnd = this.#pieceStart + this.#piece.length;
      if (position >= pieceEnd) {
        if (!this.#advance()) break;
        continue;
      }
      const part = this.#piece.subarray(position - this.#pieceStart, end - this.#pieceStart);
      parts.push(part);
      position += part.length;
    }
    return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
  }

  /** Lets go of the source. */
  close(): void {
    this.#pieces?.return?.();
    this.#pieces = undefined;
  }

  #restart(): void {
    this.close();
    this.#pieces = this.#source()[Symbol.iterator]();
    this.#piece = new Uint8Array(0);
    this.#pieceStart = 0;
  }

  #advance(): boolean {
    const step = this.#pieces?.next();
    if (step === undefined || step.done === true) return false;
    this.#pieceStart += this.#piece.length;
    this.#piece = bytesOf(step.value);
    return true;
  }
}
