/** A ProberPeer: a client as the prober sees it, for as long as the connection lasts. */

import type { ProberMessage } from './protocol.ts';

export class ProberPeer {
  /** Its process: it is never probed, because it reads what probes write. 0 when it is in another pid namespace. */
  readonly pid: number;
  /** The prober need not stay for it. */
  isObserver = false;
  readonly #send: (message: ProberMessage) => void;

  /** @param send sends a message that is no answer */
  constructor(pid: number, send: (message: ProberMessage) => void) {
    this.pid = pid;
    this.#send = send;
  }

  /** Says a sentence to its user. */
  note(text: string): void {
    this.#send({ note: text });
  }

  /** Tells that there are other probes than before. */
  changed(): void {
    this.#send({ changed: true });
  }
}
