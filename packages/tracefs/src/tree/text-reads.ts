/**
 * The reads of one open text file. One that finds its bytes within a step is answered at once. Another is done in
 * turns, with those that come meanwhile behind it: two threads that read at different places would otherwise make
 * each other's text begin anew, for ever.
 */

import type { Reply } from '../node.ts';
import type { Step, Turns } from '../turns.ts';
import { ProgressiveText, type TextSource } from './progressive-text.ts';

interface WaitingRead {
  readonly offset: number;
  readonly size: number;
  readonly reply: Reply<Uint8Array>;
}

export class TextReads {
  readonly #text: ProgressiveText;
  readonly #turns: Turns;
  /** Reads that are not answered, the oldest first: the text is at that one. */
  #waiting: WaitingRead[] = [];

  /**
   * @param source makes the text
   * @param turns does what takes long
   */
  constructor(source: TextSource, turns: Turns) {
    this.#text = new ProgressiveText(source);
    this.#turns = turns;
  }

  /** See OpenFile.read. */
  read(offset: number, size: number, reply: Reply<Uint8Array>): void {
    const read = { offset, size, reply };
    this.#waiting.push(read);
    if (this.#waiting.length > 1) return reply.onInterrupt(() => this.#withdraw(read));
    this.#text.seek(offset);
    if (!this.#step()) return;
    reply.onInterrupt(() => this.#withdraw(read));
    this.#turns.add(this.#step);
  }

  /** The file is closed. */
  release(): void {
    this.#turns.withdraw(this.#step);
    this.#waiting = [];
    this.#text.close();
  }

  readonly #step: Step = () => {
    const [read] = this.#waiting;
    if (read === undefined) return false;
    const bytes = this.#text.read(read.offset, read.size);
    if (bytes === undefined) return true;
    this.#answered();
    read.reply.done(bytes);
    return this.#waiting.length > 0;
  };

  #answered(): void {
    this.#waiting.shift();
    const [following] = this.#waiting;
    if (following !== undefined) this.#text.seek(following.offset);
  }

  #withdraw(read: WaitingRead): void {
    const index = this.#waiting.indexOf(read);
    if (index === 0) this.#answered();
    else if (index > 0) this.#waiting.splice(index, 1);
  }
}
