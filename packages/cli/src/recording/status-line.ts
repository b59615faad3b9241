/**
 * `StatusLine`: one line of a terminal that is written again and again, and gives way to what has to be said in
 * between. Where there is no terminal it shows nothing.
 */

import type { WriteStream } from 'node:tty';

/** How often a terminal is written to at most, in milliseconds. */
const INTERVAL_MS = 200;
/** For a terminal that does not say how wide it is. */
const COLUMNS_DEFAULT = 80;
/** Goes to the line's beginning and clears it (ECMA-48: CR, EL). */
const CLEAR = '\r\u001B[K';

export class StatusLine {
  readonly #stream: WriteStream;
  readonly #isShown: boolean;
  #shownAtMs = Number.NEGATIVE_INFINITY;
  #isThere = false;

  /**
   * @param stream where it is shown, when that is a terminal
   * @param isWanted whether it is shown at all
   */
  constructor(stream: WriteStream, isWanted: boolean) {
    this.#stream = stream;
    this.#isShown = isWanted && stream.isTTY;
  }

  /**
   * Shows a text, unless the last one is too young.
   *
   * @param text makes the text
   */
  show(text: () => string): void {
    const now = performance.now();
    if (!this.#isShown || now - this.#shownAtMs < INTERVAL_MS) return;
    this.#shownAtMs = now;
    this.#isThere = true;
    this.#stream.write(
      `${CLEAR}${text().slice(0, Math.max(0, (this.#stream.columns || COLUMNS_DEFAULT) - 1))}`,
    );
  }

  /** Writes a line that stays. */
  say(line: string): void {
    this.#stream.write(`${this.#isThere ? CLEAR : ''}${line}\n`);
    this.#isThere = false;
  }

  /** Clears it. */
  end(): void {
    if (this.#isThere) this.#stream.write(CLEAR);
    this.#isThere = false;
  }
}
