/**
 * A text that is rendered while it is read, so that a trace of many megabytes never exists as one string, and in
 * bounded steps, so that a read far into it can be served beside other requests.
 *
 * An open file holds a ProgressiveText; that holds the source's iterator and the last piece it gave. A read that
 * continues where the last one ended costs what it returns; one before the kept piece renders anew, as
 * seq_file does in the kernel.
 */

import { bytesOf } from './written-text.ts';

/** Makes the text anew: its pieces in order. */
export type TextSource = () => Iterable<string>;

/** How much one step renders at most, and a piece more: 3 ms of a trace. */
const STEP_BYTES = 65_536;

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
   * Begins a read; `read` does the rest.
   *
   * @param offset where to start, in bytes from the start of the text; from 0 the text is made anew
   */
  seek(offset: number): void {
    if (this.#pieces !== undefined && offset >= this.#pieceStart && offset > 0) return;
    this.close();
    this.#pieces = this.#source()[Symbol.iterator]();
    this.#piece = new Uint8Array(0);
    this.#pieceStart = 0;
  }

  /**
   * One step of a read.
   *
   * @param offset what `seek` was called with
   * @param size how many bytes to return at most
   * @returns what is there, none at the end of the text; undefined when the text is not rendered up to the offset
   *   yet, and another step is to follow
   */
  read(offset: number, size: number): Uint8Array | undefined {
    const parts: Uint8Array[] = [];
    let position = offset;
    let renderedBytes = 0;
    const end = offset + size;
    while (position < end) {
      const pieceEnd = this.#pieceStart + this.#piece.length;
      if (position < pieceEnd) {
        const part = this.#piece.subarray(position - this.#pieceStart, end - this.#pieceStart);
        parts.push(part);
        position += part.length;
        continue;
      }
      if (renderedBytes >= STEP_BYTES) {
        if (parts.length === 0) return undefined;
        break;
      }
      if (!this.#advance()) break;
      renderedBytes += this.#piece.length;
    }
    return parts.length === 1 ? parts[0] : Buffer.concat(parts);
  }

  /** Lets go of the source. */
  close(): void {
    this.#pieces?.return?.();
    this.#pieces = undefined;
  }

  #advance(): boolean {
    const step = this.#pieces?.next();
    if (step === undefined || step.done === true) return false;
    this.#pieceStart += this.#piece.length;
    this.#piece = bytesOf(step.value);
    return true;
  }
}
