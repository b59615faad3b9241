/**
 * `RecordedLane`: the lane of one provider on its way into a recording's file, with the names of the threads that write to it.
 */
import { ErrnoError } from '@usertrace/base';
import type { RecordingFile } from '@usertrace/formats';
import type { AttachedProvider } from './attached-provider.ts';
import { FileLane } from './file-lane.ts';
import { LaneCopy } from './lane-copy.ts';
import type { LaneFollower } from './provider-set.ts';
import { commText } from './recording-files.ts';

/** Batches of pages that one lane gets in a turn: 4 MiB, a whole lane of the default size. */
const BATCHES_PER_TURN = 16;

/** What is counted of a lane. */
export type LaneCounts = Pick<LaneCopy, 'events' | 'lost' | 'damagedPages'>;

export const NOTHING_COUNTED: Readonly<LaneCounts> = { events: 0, lost: 0, damagedPages: 0 };

/** Adds what was counted of one lane to what was counted of others. */
export function addCounts(to: LaneCounts, { events, lost, damagedPages }: Readonly<LaneCounts>): void {
  to.events += events;
  to.lost += lost;
  to.damagedPages += damagedPages;
}

export class RecordedLane implements LaneFollower {
  readonly #provider: AttachedProvider;
  readonly #file: RecordingFile;
  readonly #lane: FileLane;
  readonly #writerTids: Set<number>;
  /** Undefined until the provider has a lane. */
  #copy: LaneCopy | undefined;
  #namesSeen: number | undefined;
  #namesCounted: number | undefined;

  /**
   * @param provider whose lane it is
   * @param file the recording's
   * @param writerTids gets the ids of threads that wrote something of it
   */
  constructor(provider: AttachedProvider, file: RecordingFile, writerTids: Set<number>) {
    this.#provider = provider;
    this.#file = file;
    this.#lane = new FileLane(file);
    this.#writerTids = writerTids;
  }

  /** What was counted up to now. */
  get counts(): Readonly<LaneCounts> {
    return this.#copy ?? NOTHING_COUNTED;
  }

  turn(): number {
    this.#copy ??= this.#begin();
    const { reader, pageCount } = this.#provider;
    if (this.#copy === undefined || reader === undefined) return 0;
    const { pages, isBehind } = this.#copy.turn(BATCHES_PER_TURN, () =>
      this.#provider.setUnreadPage(reader.position),
    );
    const { threadNameChanges } = this.#provider.file.header();
    this.#noteNames(threadNameChanges);
    this.#countWriters(threadNameChanges);
    return isBehind ? 1 : pages / pageCount;
  }

  end(): void {
    const copy = this.#copy;
    if (copy === undefined) return;
    try {
      copy.finish();
    } catch (error) {
      // A lane that makes no sense does not say what was lost at its end; what was read of it stays.
      if (!(error instanceof ErrnoError)) throw error;
    }
    this.#lane.end(copy.events, copy.lost);
  }

  #begin(): LaneCopy | undefined {
    const { reader, rules, from, file } = this.#provider;
    if (reader === undefined) return undefined;
    return new LaneCopy({
      reader,
      rules,
      from,
      createdAt: BigInt(Math.floor(file.opened.createdAt)),
      sink: this.#lane,
      refresh: () => this.#provider.refresh(),
    });
  }

  #noteNames(threadNameChanges: number): void {
    if (threadNameChanges === this.#namesSeen) return;
    this.#namesSeen = threadNameChanges;
    for (const [tid, comm] of this.#provider.file.threadNames()) this.#file.setComm(tid, commText(comm));
  }

  /** A lane of the file begins with the first wanted record: before that, nobody is a writer. */
  #countWriters(threadNameChanges: number): void {
    if (!this.#lane.hasBegun || threadNameChanges === this.#namesCounted) return;
    this.#namesCounted = threadNameChanges;
    const { file } = this.#provider;
    const tids = file.isProbers ? file.threadNames().map(([tid]) => tid) : [file.opened.tid];
    for (const tid of tids) this.#writerTids.add(tid);
  }
}
