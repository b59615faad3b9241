/** `ProberPeers`: the clients that have said who they are. */
import type { ProberPeer } from './prober-peer.ts';

export class ProberPeers {
  readonly #peers = new Set<ProberPeer>();

  add(peer: ProberPeer): void {
    this.#peers.add(peer);
  }

  remove(peer: ProberPeer): void {
    this.#peers.delete(peer);
  }

  /** Whether a process is one of them. */
  isClient(pid: number): boolean {
    return [...this.#peers].some((peer) => peer.pid === pid);
  }

  /** Says a sentence to all their users. */
  note(text: string): void {
    for (const peer of this.#peers) peer.note(text);
  }

  /** Tells all that there are other probes than before. */
  changed(): void {
    for (const peer of this.#peers) peer.changed();
  }
}
