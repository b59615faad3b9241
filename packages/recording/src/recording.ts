/**
 * `Recording`: events of many providers on their way into one file. Each lane is a CPU of the file.
 *
 * The file is complete up to each turn, so that whoever kills the recorder loses what came since. The turns come more
 * often the fuller the lanes are: each 50 ms while little happens, one after another while a lane runs full.
 */
import type { EventFormatText, FinishResult, RecordingFile } from '@usertrace/formats';
import type { RuntimeSurroundings } from '@usertrace/linux';
import type { AttachedProvider } from './attached-provider.ts';
import { EventCatalog } from './event-catalog.ts';
import { FileLane } from './file-lane.ts';
import type { PageSink } from './lane-copy.ts';
import type { SessionRequest } from './provider-session.ts';
import { type LaneFollower, ProviderSet, type WantsProcess } from './provider-set.ts';
import { addCounts, NOTHING_COUNTED, RecordedLane } from './recorded-lane.ts';
import { commText, createFile } from './recording-files.ts';

/** Pauses between turns, in milliseconds. */
const PAUSE_MS = { shortest: 1, longest: 50, first: 5 } as const;
/** A lane so full makes the pause shorter, and one so empty makes it longer. */
const FILL = { high: 1 / 8, low: 1 / 64 } as const;
/** How often the file is brought up to date at most, in milliseconds: it costs some small writes. */
const CHECKPOINT_INTERVAL_MS = 20;

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
  readonly #lanes = new Set<RecordedLane>();
  /** What those of ended threads counted. */
  readonly #ended = { ...NOTHING_COUNTED };
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
    for (const lane of this.#lanes) addCounts(counts, lane.counts);
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
    const lane = new FileLane(this.#file);
    lane.begin();
    return {
      append: (pages) => lane.append(pages),
      rewriteLast: (page) => lane.rewriteLast(page),
      setComm: (tid, comm) => this.#file.setComm(tid, commText(comm)),
      end: (events, lost) => lane.end(events, lost),
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
    const lane = new RecordedLane(provider, this.#file, this.#writerTids);
    this.#lanes.add(lane);
    return {
      turn: () => lane.turn(),
      end: () => {
        lane.end();
        this.#lanes.delete(lane);
        addCounts(this.#ended, lane.counts);
      },
    };
  }
}
