/**
 * `ProbeProviders`: the provider files of one prober. A file whose process has ended stays for a while, because a recorder may be
 * about to find it; after that it is removed, unless it is a flight recorder's: then it is left for `usertrace recover`.
 *
 * What a killed prober left is removed by the following one, in the same way.
 */
import { LANE_PAGES_MAX, LANE_PAGES_MIN, PROVIDER_LOCK, STANDING_SESSION } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import { parseProviderFileName, tryLockByte } from '@usertrace/linux';
import { readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { hasEvents } from './lane-dump.ts';
import { type ProbedProcess, ProbeProvider } from './probe-provider.ts';
import { ProviderFile } from './provider-file.ts';
import { readSessions } from './session-slots.ts';

/** How long the file of an ended process stays for recorders that have not seen it yet, in milliseconds. */
const SEEN_AFTER_MS = 5_000;
/** The most such files: a program that starts thousands of children a second has its oldest ones removed before. */
const ENDED_MAX = 1024;
/** How often it is looked for sessions whose tracers died, in milliseconds. */
const PURGE_INTERVAL_MS = 1_000;
/** The most flight recorders of killed probers' processes that are left for `usertrace recover`. */
const LEFT_MAX = 64;

export class ProbeProviders {
  readonly #folder: string;
  readonly #pageCount: number;
  readonly #open = new Set<ProbeProvider>();
  #ended: { readonly path: string; readonly untilMs: number }[] = [];
  #purgedAtMs = 0;

  /**
   * Takes away what a killed prober has left.
   *
   * @param folder the runtime folder of this user
   * @param pageCount pages of 4 KiB that the lane of each process has, once it was hit
   */
  constructor(folder: string, pageCount: number) {
    this.#folder = folder;
    this.#pageCount = Math.min(Math.max(pageCount, LANE_PAGES_MIN), LANE_PAGES_MAX);
    this.#sweep();
  }

  /**
   * Makes the file of a process.
   *
   * @throws {Error} as ProbeProvider.create()
   */
  create(probed: ProbedProcess): ProbeProvider {
    const provider = ProbeProvider.create(this.#folder, probed, this.#pageCount);
    this.#open.add(provider);
    return provider;
  }

  /** The process of a provider has ended, or is probed no longer. The provider must not be used afterwards. */
  end(provider: ProbeProvider): void {
    if (!this.#open.delete(provider)) return;
    const { path, isKept, hasRecords } = provider;
    provider.close();
    if (!hasRecords) removeFile(path);
    else if (!isKept) this.#ended.push({ path, untilMs: performance.now() + SEEN_AFTER_MS });
  }

  /** To be called now and then: removes files that have stayed long enough, and sessions of tracers that died. */
  turn(): void {
    const now = performance.now();
    const surplus = this.#ended.length - ENDED_MAX;
    this.#ended = this.#ended.filter(({ path, untilMs }, index) => {
      if (index >= surplus && untilMs > now) return true;
      removeFile(path);
      return false;
    });
    if (now - this.#purgedAtMs < PURGE_INTERVAL_MS) return;
    this.#purgedAtMs = now;
    for (const provider of this.#open) provider.purgeSessions();
  }

  /** Ends all, and removes what is of use to nobody. */
  close(): void {
    for (const provider of this.#open) this.end(provider);
    for (const { path } of this.#ended) removeFile(path);
    this.#ended = [];
  }

  #sweep(): void {
    const left: { readonly path: string; readonly madeAt: number }[] = [];
    for (const name of readdirSync(this.#folder)) {
      const said = parseProviderFileName(name);
      if (said?.tid !== 0) continue;
      const path = join(this.#folder, name);
      try {
        const file = ProviderFile.open(path, process.geteuid?.() ?? 0, 'change');
        try {
          if (!tryLockByte(file.fd, PROVIDER_LOCK.provider)) continue;
          const isKept = readSessions(file).some(({ slot }) => slot === STANDING_SESSION);
          if (isKept && hasEvents(file)) left.push({ path, madeAt: said.madeAt });
          else removeFile(path);
        } finally {
          file.close();
        }
      } catch (error) {
        // Nobody can read it, so nobody needs it; or it was removed meanwhile.
        if (!(error instanceof ErrnoError)) throw error;
        if (error.code === 'EPROTO') removeFile(path);
      }
    }
    const byAge = left.toSorted((one, other) => one.madeAt - other.madeAt);
    for (const { path } of byAge.slice(0, Math.max(0, left.length - LEFT_MAX))) removeFile(path);
  }
}

function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody else has done so.
  }
}
