/**
 * Processes that have provider files, as tools show them: one for all threads of a process. Files are opened for the
 * answer and closed after it; nothing is kept.
 */
import { eventIdentity, PROVIDER_LOCK, type ProviderEvent } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import { type RuntimeSurroundings, tryLockByte } from '@usertrace/linux';
import { type ProviderAccess, ProviderFile } from './provider-file.ts';
import { listProviders } from './provider-search.ts';

/** A process with its threads that have provider files. */
export interface ProviderProcess {
  readonly pid: number;
  /** The name of its main thread, or of another when that has no provider. */
  readonly comm: string;
  /** Open files of its threads. */
  readonly files: readonly ProviderFile[];
}

/** What was found. */
export interface FoundProcesses {
  readonly processes: readonly ProviderProcess[];
  /** Why files could not be read. */
  readonly warnings: readonly string[];
  /** Closes all files. */
  close(): void;
}

/** Which processes are looked for. */
export interface ProcessSearch {
  /** `dead` ones have left files behind; their locks are taken, so that nobody else recovers them. */
  readonly state: 'alive' | 'dead';
  readonly access: ProviderAccess;
  /** Only this one. */
  readonly pid?: number;
  readonly surroundings?: RuntimeSurroundings;
}

/**
 * Finds processes that have provider files.
 *
 * @param search which
 */
export function findProcesses({ state, access, pid, surroundings }: ProcessSearch): FoundProcesses {
  const filesByProcess = new Map<string, ProviderFile[]>();
  const warnings: string[] = [];
  for (const place of listProviders(surroundings)) {
    if (pid !== undefined && place.pid !== pid) continue;
    try {
      const file = ProviderFile.open(place.path, place.owner, access);
      if (isIn(state, file)) {
        const { opened } = file;
        const key = `${place.owner} ${opened.pid} ${opened.startTicks}`;
        const files = filesByProcess.get(key);
        if (files === undefined) filesByProcess.set(key, [file]);
        else files.push(file);
      } else file.close();
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error;
      // Gone since it was listed, or still being made.
      if (error.code !== 'ENOENT' && error.code !== 'EAGAIN') warnings.push(error.message);
    }
  }
  const processes = [...filesByProcess.values()].flatMap((files): ProviderProcess[] => {
    const main = files.find(({ opened }) => opened.tid === opened.pid) ?? files[0];
    return main === undefined ? [] : [{ pid: main.opened.pid, comm: main.opened.comm, files }];
  });
  return {
    processes: processes.toSorted((a, b) => a.pid - b.pid),
    warnings,
    close: () => {
      for (const { files } of processes) for (const file of files) file.close();
    },
  };
}

/** Who listens to an event, of all threads of a process. */
export interface ProcessEvent {
  readonly event: ProviderEvent;
  /** Bits of its enable words, of all threads together. */
  readonly word: number;
  /** Those of threads that have it, or a prober's. */
  readonly files: readonly ProviderFile[];
}

/**
 * The events of a process. Those of the same declaration in many threads are one.
 *
 * @param process of findProcesses()
 * @throws {ErrnoError} when a file cannot be read
 */
export function eventsOf(process: ProviderProcess): ProcessEvent[] {
  const found = new Map<string, { event: ProviderEvent; word: number; files: ProviderFile[] }>();
  for (const file of process.files) {
    const events = file.events();
    const words = file.words(events.length);
    const withdrawn = file.withdrawnEvents();
    for (const event of events) {
      if (withdrawn.has(event.index)) continue;
      const identity = eventIdentity(event);
      const known = found.get(identity) ?? { event, word: 0, files: [] };
      known.word |= words[event.index] as number;
      known.files.push(file);
      found.set(identity, known);
    }
  }
  return [...found.values()];
}

function isIn(state: 'alive' | 'dead', file: ProviderFile): boolean {
  if (state === 'alive') return file.isAlive;
  return tryLockByte(file.fd, PROVIDER_LOCK.provider);
}
