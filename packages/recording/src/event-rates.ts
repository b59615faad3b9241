/**
 * `EventRates`: how many events processes write, by process and event, while it is followed. It takes part as a
 * session that reads all lanes and keeps nothing of them.
 */
import { PROVIDER_EVENTS_MAX, readSubBufferHeader } from '@usertrace/abi';
import type { RuntimeSurroundings } from '@usertrace/linux';
import { countRecords, type LanePage, scanPage } from '@usertrace/ring';
import type { AttachedProvider } from './attached-provider.ts';
import type { SessionRequest } from './provider-session.ts';
import { type LaneFollower, ProviderSet, type WantsProcess } from './provider-set.ts';

/** Batches of pages that one lane gets in a turn. */
const BATCHES_PER_TURN = 16;
/** Any id but that of nothing: a count needs to know only what is wanted. */
const COUNTED = 1;

/** The events of one name in one process since it was asked last. */
export interface EventRate {
  readonly pid: number;
  readonly comm: string;
  readonly system: string;
  readonly event: string;
  readonly count: number;
}

/** What was counted since it was asked last. */
export interface RatesReport {
  readonly rates: readonly EventRate[];
  /** Events that went by too fast to be counted by name, by process. */
  readonly lostByPid: ReadonlyMap<number, number>;
  readonly processes: number;
}

interface Count {
  readonly pid: number;
  readonly comm: string;
  readonly system: string;
  readonly event: string;
  count: number;
}

export class EventRates {
  readonly #providers: ProviderSet;
  #counts = new Map<string, Count>();
  #lostByPid = new Map<number, number>();

  /**
   * Begins to count.
   *
   * @param parts what is counted, of which processes
   */
  constructor(parts: {
    readonly request: SessionRequest;
    readonly wantsProcess: WantsProcess;
    readonly warn: (message: string) => void;
    readonly surroundings?: RuntimeSurroundings;
  }) {
    this.#providers = new ProviderSet({
      ...parts,
      writtenId: () => COUNTED,
      follow: (provider) => this.#follow(provider),
    });
  }

  /**
   * Counts what there is.
   *
   * @returns which part of a lane was unread at most
   */
  turn(): number {
    return this.#providers.turn();
  }

  /** What was counted since the last call; also events that are wanted and were not written, with 0. */
  take(): RatesReport {
    const rates = [...this.#counts.values()];
    const lostByPid = this.#lostByPid;
    this.#counts = new Map();
    this.#lostByPid = new Map();
    return {
      rates: rates.toSorted((a, b) => b.count - a.count || a.pid - b.pid || (a.event < b.event ? -1 : 1)),
      lostByPid,
      processes: new Set(this.#providers.providers.map(({ file }) => file.opened.pid)).size,
    };
  }

  /** Ends all sessions. */
  stop(): void {
    this.#providers.stop(false);
  }

  #follow(provider: AttachedProvider): LaneFollower {
    const counter = new LaneCounter(provider);
    return {
      end: () => undefined,
      turn: () => {
        const fill = counter.turn();
        this.#add(provider, counter);
        return fill;
      },
    };
  }

  #add(provider: AttachedProvider, { counts, lost }: LaneCounter): void {
    const { pid, comm } = provider.file.opened;
    const withdrawn = provider.file.withdrawnEvents();
    for (const { index, system, name } of provider.events) {
      if (provider.rules.writtenIds[index] !== COUNTED) continue;
      if (counts[index] === 0 && withdrawn.has(index)) continue;
      const key = `${pid} ${system} ${name}`;
      const count = this.#counts.get(key) ?? { pid, comm, system, event: name, count: 0 };
      count.count += counts[index] as number;
      this.#counts.set(key, count);
    }
    if (lost > 0) this.#lostByPid.set(pid, (this.#lostByPid.get(pid) ?? 0) + lost);
  }
}

/** Counts the events of one lane, turn by turn. */
class LaneCounter {
  readonly #provider: AttachedProvider;
  /** The page that was incomplete, and bytes of its records that are counted. */
  #partial: { readonly number: number; readonly dataLength: number } | undefined;
  /** Events of the last turn, by their number. */
  readonly counts: Float64Array = new Float64Array(PROVIDER_EVENTS_MAX);
  /** Events that were overwritten before the last turn could count them. */
  lost = 0;

  constructor(provider: AttachedProvider) {
    this.#provider = provider;
  }

  /** Counts what is there, or a share of it; answers as LaneFollower.turn() does. */
  turn(): number {
    this.counts.fill(0);
    this.lost = 0;
    const { reader, pageCount } = this.#provider;
    if (reader === undefined) return 0;
    let pageTotal = 0;
    let isBehind = true;
    for (let batch = 0; batch < BATCHES_PER_TURN && isBehind; batch++) {
      const pages = reader.next();
      for (const page of pages) reader.countPartial(this.#count(page));
      pageTotal += pages.length;
      isBehind = pages.at(-1)?.isComplete === true;
    }
    this.#provider.setUnreadPage(reader.position);
    return isBehind ? 1 : pageTotal / pageCount;
  }

  /** Counts one page; answers how many events it has. */
  #count({ number, bytes, dataLength, isComplete, lostBefore }: LanePage): number {
    const { rules, from } = this.#provider;
    const isKnown = this.#partial?.number === number;
    if (!isKnown) this.lost += lostBefore;
    let scan = scanPage(bytes, dataLength, rules, Number.POSITIVE_INFINITY);
    if (!scan.isWhole) {
      this.#provider.refresh();
      scan = scanPage(bytes, dataLength, rules, Number.POSITIVE_INFINITY);
    }
    const { timestamp } = readSubBufferHeader(bytes);
    const begin = {
      dataLength: isKnown ? (this.#partial?.dataLength ?? 0) : 0,
      elapsedNs: timestamp < from ? Number(from - timestamp) : 0,
    };
    countRecords(bytes, scan.dataLength, rules, begin, this.counts);
    this.#partial = isComplete ? undefined : { number, dataLength: scan.dataLength };
    return scan.events;
  }
}
