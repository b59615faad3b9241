/**
 * `ProviderSearch`: finds provider files in the runtime folders, and notices new ones.
 *
 * inotify (through fs.watch) wakes it early; what counts is the listing, which is done anyway at an interval, because a
 * folder may not be there yet and a queue of notices may overflow.
 */
import {
  findRuntimeFolders,
  makeRuntimeFolder,
  parseProviderFileName,
  type RuntimeSurroundings,
} from '@usertrace/linux';
import { type FSWatcher, readdirSync, watch } from 'node:fs';
import { join } from 'node:path';

/** The most files that are taken of one folder: a program with more threads is cut. */
const FILES_MAX = 65_536;

/** A file that is a provider's by its name. */
export interface ProviderPlace {
  readonly path: string;
  /** The folder's owner, who has to own the file as well. */
  readonly owner: number;
  /** What the file's name says; for choosing which to open first. */
  readonly pid: number;
  readonly tid: number;
  /** CLOCK_MONOTONIC nanoseconds, about. */
  readonly madeAt: number;
}

/** The surroundings of this program. */
export const OWN_SURROUNDINGS: RuntimeSurroundings = {
  uid: process.getuid?.() ?? 0,
  environment: process.env,
};

/**
 * All provider files that this user may look at, those of dead programs included; the oldest first.
 *
 * @param surroundings who looks, and where
 */
export function listProviders(surroundings: RuntimeSurroundings = OWN_SURROUNDINGS): ProviderPlace[] {
  return findRuntimeFolders(surroundings)
    .flatMap(({ path: folder, uid: owner }) =>
      namesIn(folder).flatMap((name) => {
        const said = parseProviderFileName(name);
        return said === undefined ? [] : [{ path: join(folder, name), owner, ...said }];
      }),
    )
    .toSorted((one, other) => one.madeAt - other.madeAt);
}

export class ProviderSearch {
  readonly #surroundings: RuntimeSurroundings;
  readonly #wake: () => void;
  readonly #watchers = new Map<string, FSWatcher>();

  /**
   * Begins to watch. Makes the folder in which providers of this user will be, so that it can be watched before there
   * is one.
   *
   * @param surroundings who looks, and where
   * @param wake called soon after something changed in a folder
   */
  constructor(surroundings: RuntimeSurroundings, wake: () => void) {
    this.#surroundings = surroundings;
    this.#wake = wake;
    try {
      makeRuntimeFolder(surroundings);
    } catch {
      // Programs will not have one either, and say why.
    }
  }

  /** All provider files now. Watches folders that are new. */
  list(): ProviderPlace[] {
    for (const { path } of findRuntimeFolders(this.#surroundings)) {
      if (!this.#watchers.has(path)) this.#watch(path);
    }
    return listProviders(this.#surroundings);
  }

  /** Watches no more. */
  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, (event) => {
        // Tools that write to a file are `change`; what matters are files that come and go.
        if (event === 'rename') this.#wake();
      });
      // The folder went away, or the limit on watches is reached: the interval is left.
      watcher.on('error', () => this.#forget(folder));
      this.#watchers.set(folder, watcher);
    } catch {
      // As above.
    }
  }

  #forget(folder: string): void {
    this.#watchers.get(folder)?.close();
    this.#watchers.delete(folder);
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).slice(0, FILES_MAX);
  } catch {
    return [];
  }
}
