/** Lines on their way to a stream: written together, at the end of a round of Node's loop, so that they cost few writes. */

/** So much text is written at once. */
const BATCH_LENGTH = 64 * 1024;

export class LineBatch {
  readonly #write: (text: string) => void;
  #text = '';
  #isScheduled = false;

  /** @param write is given some lines at a time */
  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** Adds a line. */
  add(line: string): void {
    this.#text += `${line}\n`;
    if (this.#text.length > BATCH_LENGTH) this.flush();
    else if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(() => {
        this.#isScheduled = false;
        this.flush();
      });
    }
  }

  /** Writes what there is. */
  flush(): void {
    if (this.#text === '') return;
    const text = this.#text;
    this.#text = '';
    this.#write(text);
  }
}
