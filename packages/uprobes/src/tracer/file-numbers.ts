/** Numbers for files, as the table wants them. A file keeps its number. */

/** Numbers by identity. */
export class FileNumbers {
  readonly #numbers = new Map<string, number>();

  /** @returns the file's number, a new one if it has none */
  of(identity: string): number {
    const known = this.#numbers.get(identity);
    if (known !== undefined) return known;
    this.#numbers.set(identity, this.#numbers.size);
    return this.#numbers.size - 1;
  }

  /** @returns the file's number, undefined if no probe was ever on it */
  known(identity: string): number | undefined {
    return this.#numbers.get(identity);
  }
}
