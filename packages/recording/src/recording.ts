/**
 * `Recording`: events of many providers on their way into one file. Each lane is a CPU of the file.
 *
 * The file is complete up to each turn, so that whoever kills the recorder loses what came since. The turns come more
 * often the fuller the lanes are: each 50 ms while little happens, one after another while a lane runs full.
 */
import {
  type EventFormatText,
  type FileTree,
  type FinishResult,
  nodeFiles,
  RecordingFile,
} from '@usertrace/formats';
import { libc, type RuntimeSurroundings, tryLockByte } from '@usertrace/linux';
import { randomBytes } from 'node:crypto';
import { arch, hostname, release } from 'node:os';
import type { AttachedProvider } from './attached-provider.ts';
import { EventCatalog } from './event-catalog.ts';
import { LaneCopy, type PageSink } from './lane-copy.ts';
import type { SessionRequest } from './provider-session.ts';
import { type LaneFollower, ProviderSet, type WantsProcess } from './provider-set.ts';

/** Batches of pages that one lane gets in a turn: 4 MiB, a whole lane of the default size. */
const BATCHES_PER_TURN = 16;
/** Pauses between turns, in milliseconds. */
const PAUSE_MS = { shortest: 1, longest: 50, first: 5 } as const;
/** A lane so full makes the pause shorter, and one so empty makes it longer. */
const FILL = { high: 1 / 8, low: 1 / 64 } as const;
/** How often the file is brought up to date at most, in milliseconds: it costs some small writes. */
const CHECKPOINT_INTERVAL_MS = 20;

/** FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE (fallocate(2)). */
const PUNCH_HOLE = 3;
/** SYNC_FILE_RANGE_WRITE (sync_file_range(2)). */
const BEGIN_WRITING = 2;
/** POSIX_FADV_DONTNEED (posix_fadvise(2)). */
const DROP_CACHED = 4;
/** The byte of a recording whose lock its writer holds: behind all that a file may hold. */
const WRITER_LOCK = 2 ** 62;

/** What is recorded, and where to. */
export interface RecordingOptions extends SessionRequest {
  /** The file; what is in it is lost. */
  readonly path: string;
  /** Keep only so many bytes of the newest pages. */
  readonly windowSize?: number;
  /** The version of this program. */
  readonly version: string;
  /** Whether a process is recorded; thread 0 stands for the file of a prober. */
  readonly wantsProcess: WantsProcess;
  /** Told of what cannot be recorded. */
  readonly warn: (message: string) => void;
  /** Called when the following turn should come at once. */
  readonly onNews?: () => void;
  readonly surroundings?: RuntimeSurroundings;
}

/** What has been recorded up to now. */
export interface RecordingTotals {
  readonly events: number;
  readonly lost: number;
  /** Bytes of pages in the file. */
  readonly bytes: number;
  /** Threads and processes that are followed now. */
  readonly threads: number;
  readonly processes: number;
  /** Events by name that somebody declared and that are wanted. */
  readonly eventNames: number;
  /** Threads that wrote something of it, those that have ended too. */
  readonly writerThreads: number;
  /** Pages that made no sense from some byte on. */
  readonly damagedPages: number;
}

/** A lane of events that come from elsewhere than providers. */
export interface EventLane extends PageSink {
  /** Notes a thread's name. */
  setComm(tid: number, comm: string): void;
  /** Nothing more is appended. */
  end(events: number, lost: number): void;
}

export class Recording {
  readonly #file: RecordingFile;
  readonly #hasWindow: boolean;
  readonly #providers: ProviderSet;
  /** Those of threads that live. */
  readonly #copies = new Set<LaneCopy>();
  /** What those of ended threads counted. */
  readonly #ended = { events: 0, lost: 0, damagedPages: 0 };
  #pauseMs: number = PAUSE_MS.first;
  #checkpointAtMs = 0;
  #eventNames = 0;
  /** By their ids, which a machine has four million of. */
  readonly #writerTids = new Set<number>();
  #isOver = false;

  /**
   * Begins to record.
   *
   * @throws {Error} Node's, when the file cannot be written
   */
  constructor(options: RecordingOptions) {
    const { path, version, windowSize, wantsProcess, warn, onNews, surroundings } = options;
    this.#file = createFile(path, version, windowSize);
    this.#hasWindow = windowSize !== undefined;
    const catalog = new EventCatalog((format) => {
      this.#eventNames += 1;
      this.#file.addFormat(format);
    });
    this.#providers = new ProviderSet({
      request: options,
      writtenId: catalog.idOf,
      wantsProcess,
      follow: (provider) => this.#follow(provider),
      warn,
      ...(surroundings === undefined ? {} : { surroundings }),
      ...(onNews === undefined ? {} : { onNews }),
    });
  }

  get totals(): RecordingTotals {
    const counts = { ...this.#ended };
    for (const copy of this.#copies) addCounts(counts, copy);
    const { providers } = this.#providers;
    return {
      ...counts,
      bytes: this.#file.pageBytes,
      threads: providers.length,
      processes: new Set(providers.map(({ file }) => file.opened.pid)).size,
      eventNames: this.#eventNames,
      writerThreads: this.#writerTids.size,
    };
  }

  /**
   * Adds a lane beside those of providers, such as a tracer's own. What is appended is in the file after the following turn.
   *
   * @param formats of its events; their ids are below PROVIDER_FIRST_EVENT_ID
   */
  addLane(formats: readonly EventFormatText[]): EventLane {
    for (const format of formats) this.#file.addFormat(format);
    const lane = this.#file.addLane();
    return {
      append: (pages) => this.#file.append(lane, pages),
      rewriteLast: (page) => this.#file.rewriteLast(lane, page),
      setComm: (tid, comm) => this.#file.setComm(tid, commText(comm)),
      end: (events, lost) => {
        this.#file.setStatistics(lane, `entries: ${events}\noverrun: ${lost}\n`);
        this.#file.closeLane(lane);
      },
    };
  }

  /**
   * Brings what there is into the file.
   *
   * @returns milliseconds until the following turn should come; 0: at once
   * @throws {Error} Node's, when the disk is full
   */
  turn(): number {
    const fill = this.#providers.turn();
    const now = performance.now();
    if (now - this.#checkpointAtMs >= CHECKPOINT_INTERVAL_MS || fill < 1) {
      this.#file.checkpoint();
      this.#checkpointAtMs = now;
    }
    if (fill >= FILL.high) this.#pauseMs = Math.max(PAUSE_MS.shortest, this.#pauseMs / 2);
    else if (fill < FILL.low) this.#pauseMs = Math.min(PAUSE_MS.longest, this.#pauseMs * 1.5);
    if (fill >= 1) return 0;
    return this.#providers.isWaiting ? PAUSE_MS.shortest : this.#pauseMs;
  }

  /** Ends all sessions: no program writes for us any more, and all that they wrote is in the file. */
  stop(): void {
    this.#end(true);
  }

  /**
   * Makes the file one that older readers know as well.
   *
   * @param onProgress told of bytes that were copied, of how many
   * @returns what became of it; unfinished ones are readable too
   */
  finish(onProgress?: (done: number, total: number) => void): Promise<FinishResult> {
    this.stop();
    return this.#file.finish({
      ...(onProgress === undefined ? {} : { onProgress }),
      // In place, the file would keep the length of all that went through the window.
      ...(this.#hasWindow ? { inPlaceAtLeast: Number.POSITIVE_INFINITY } : {}),
    });
  }

  /** Leaves the file with what could be written after something went wrong with it. Its sessions are ended. */
  abandon(): void {
    this.#end(false);
    try {
      this.#file.checkpoint();
    } catch {
      // Then it has what the checkpoint before had.
    } finally {
      this.#file.close();
    }
  }

  #end(isRead: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#providers.stop(isRead);
  }

  #follow(provider: AttachedProvider): LaneFollower {
    const { file } = provider;
    const { createdAt } = file.opened;
    const { rules } = provider;
    let copy: LaneCopy | undefined;
    let lane: ReturnType<RecordingFile['addLane']> | undefined;
    let namesSeen: number | undefined;
    let namesCounted: number | undefined;
    const countWriters = (threadNameChanges: number): void => {
      // A lane of the file begins with the first wanted record.
      if (lane === undefined || threadNameChanges === namesCounted) return;
      namesCounted = threadNameChanges;
      const tids = file.isProbers ? [...file.threadNames()].map(([tid]) => tid) : [file.opened.tid];
      for (const tid of tids) this.#writerTids.add(tid);
    };
    const begin = (): LaneCopy | undefined => {
      const { reader } = provider;
      if (reader === undefined) return undefined;
      const sink = {
        append: (pages: Uint8Array) => {
          // Only threads that write something are a CPU of the file.
          lane ??= this.#file.addLane();
          this.#file.append(lane, pages);
        },
        rewriteLast: (page: Uint8Array) => {
          lane ??= this.#file.addLane();
          this.#file.rewriteLast(lane, page);
        },
      };
      const begun = new LaneCopy({
        reader,
        rules,
        from: provider.from,
        createdAt: BigInt(Math.floor(createdAt)),
        sink,
        refresh: () => provider.refresh(),
      });
      this.#copies.add(begun);
      return begun;
    };
    return {
      turn: () => {
        copy ??= begin();
        const { reader } = provider;
        if (copy === undefined || reader === undefined) return 0;
        const { pages, isBehind } = copy.turn(BATCHES_PER_TURN, () =>
          provider.setUnreadPage(reader.position),
        );
        const { threadNameChanges } = file.header();
        if (threadNameChanges !== namesSeen) {
          namesSeen = threadNameChanges;
          for (const [tid, comm] of file.threadNames()) this.#file.setComm(tid, commText(comm));
        }
        countWriters(threadNameChanges);
        return isBehind ? 1 : pages / provider.pageCount;
      },
      end: () => {
        if (copy === undefined) return;
        copy.finish();
        this.#copies.delete(copy);
        addCounts(this.#ended, copy);
        if (lane === undefined) return;
        this.#file.setStatistics(lane, `entries: ${copy.events}\noverrun: ${copy.lost}\n`);
        this.#file.closeLane(lane);
      },
    };
  }
}

type Counts = Pick<RecordingTotals, 'events' | 'lost' | 'damagedPages'>;

function addCounts(
  to: { -readonly [Name in keyof Counts]: number },
  { events, lost, damagedPages }: Counts,
): void {
  to.events += events;
  to.lost += lost;
  to.damagedPages += damagedPages;
}

/**
 * The files of this machine: they have one writer at a time, give back the space that a window has passed, and reach
 * the disk while they are written. Where a file system cannot do the last two it keeps more; that is all there is to say.
 */
export function recordingFiles(): FileTree {
  return nodeFiles({
    punchHole: (fd, position, length) => void libc().fallocate(fd, PUNCH_HOLE, position, length),
    beginWriting: (fd, position, length) => void libc().sync_file_range(fd, position, length, BEGIN_WRITING),
    dropCached: (fd, position, length) => void libc().posix_fadvise(fd, position, length, DROP_CACHED),
    claim: (fd) => {
      try {
        return tryLockByte(fd, WRITER_LOCK);
      } catch {
        // A file system without locks.
        return true;
      }
    },
  });
}

/** A thread's name as trace.dat has it: one byte a character. */
export function commText(comm: string): string {
  return Buffer.from(comm).toString('latin1');
}

/** Starts a recording's file. */
export function createFile(path: string, version: string, windowSize?: number): RecordingFile {
  return RecordingFile.create(
    path,
    {
      uname: `Linux ${hostname()} ${release()} ${arch() === 'x64' ? 'x86_64' : arch()}`,
      version: `usertrace ${version}`,
      traceId: randomBytes(8).readBigUInt64LE(),
      ...(windowSize === undefined ? {} : { windowSize }),
    },
    recordingFiles(),
  );
}
