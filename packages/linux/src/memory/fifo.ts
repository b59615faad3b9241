/** A queue: first in, first out, and a few may be put back in front. */

/** Below so many taken elements it is not worth moving the rest. */
const MIN_COMPACTION = 1024;

export class Fifo<T> {
  #elements: T[] = [];
  /** The index of the first element; those before it were taken. */
  #first = 0;

  /** How many elements wait. */
  get size(): number {
    return this.#elements.length - this.#first;
  }

  push(element: T): void {
    this.#elements.push(element);
  }

  /** Takes the first element, if any. */
  shift(): T | undefined {
    if (this.size === 0) return undefined;
    const element = this.#elements[this.#first++];
    if (this.size === 0 || (this.#first >= MIN_COMPACTION && this.#first > this.size)) this.putBack([]);
    return element;
  }

  /** Puts elements in front of all others, in their order. */
  putBack(elements: readonly T[]): void {
    this.#elements = [...elements, ...this.#elements.slice(this.#first)];
    this.#first = 0;
  }
}
