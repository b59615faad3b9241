/**
 * Asks for stops for some microseconds before the thread sleeps for them. A task that makes one system call after the other stops
 * again at once; to put a processor to sleep and to wake it takes longer than that, on a virtual machine 20 µs and more each time.
 *
 * Whether that is worth while is told by what came of it before: who waits longer for tasks than this asks leaves the processor to
 * them.
 */

/** Questions before it is given up; one takes a little less than a microsecond. */
const QUESTIONS = 200;
/** How much answers that came in time count together, at most. */
const TRUST_MAX = 16;
/** What a wait that was longer takes of that. */
const DISAPPOINTMENT = 4;
/** Without trust, one of so many waits is tried. */
const ABSTINENCE = 64;

/** Polls for what a thread waits for. */
export class Poller {
  readonly #ask: () => number;
  #trust = TRUST_MAX;
  #abstained = 0;

  /** @param ask whether something has happened: does not wait, and answers 0 when nothing has */
  constructor(ask: () => number) {
    this.#ask = ask;
  }

  /**
   * Asks for some 140 µs if that was worth while lately.
   *
   * @returns the answer; 0 when nothing has happened yet
   */
  poll(): number {
    if (this.#trust === 0) {
      this.#abstained += 1;
      if (this.#abstained < ABSTINENCE) return 0;
    }
    this.#abstained = 0;
    for (let question = 0; question < QUESTIONS; question++) {
      const answer = this.#ask();
      if (answer === 0) continue;
      if (this.#trust < TRUST_MAX) this.#trust += 1;
      return answer;
    }
    this.#trust = Math.max(0, this.#trust - DISAPPOINTMENT);
    return 0;
  }
}
