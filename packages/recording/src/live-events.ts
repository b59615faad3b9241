/**
 * `LiveEvents`: the events of many providers as they come, each with its text. Those of a turn are in the order of their times; one
 * that a slow lane brings in a later turn comes later.
 */
import {
  COMMON_FIELDS_SIZE,
  readCommonFields,
  readSubBufferHeader,
  RecordCursor,
  SUB_BUFFER_HEADER_SIZE,
  SUB_BUFFER_SIZE,
} from '@usertrace/abi';
import {
  EntryView,
  eventPrinter,
  type EventPrinter,
  parseEventFormat,
  probePrinter,
} from '@usertrace/formats';
import type { RuntimeSurroundings } from '@usertrace/linux';
import type { AttachedProvider } from './attached-provider.ts';
import { EventCatalog } from './event-catalog.ts';
import { LaneCopy, type PageSink } from './lane-copy.ts';
import type { EventChoice, SessionRequest } from './provider-session.ts';
import { type LaneFollower, ProviderSet, type WantsProcess } from './provider-set.ts';
import { commText } from './recording-files.ts';

/** Batches of pages that one lane gets in a turn. */
const BATCHES_PER_TURN = 4;

/** An event that came. */
export interface LiveEvent {
  /** The number of its lane: one for each thread with tracepoints, and for each probed process. */
  readonly lane: number;
  /** CLOCK_MONOTONIC nanoseconds. */
  readonly timestamp: bigint;
  readonly tid: number;
  readonly comm: string;
  readonly system: string;
  readonly name: string;
  /** Common fields and fields. */
  readonly entry: Uint8Array;
  /** Makes its own text, one character a byte: of a probe as the kernel's `trace` has it, else by its print format. */
  readonly text: () => string;
  /** Events of its lane that were lost before it; `unknown` when they were not counted. */
  readonly lostBefore: number | 'unknown';
}

/** What is followed. */
export interface LiveEventsOptions extends SessionRequest {
  readonly wantsProcess: WantsProcess;
  /** Told of what cannot be followed. */
  readonly warn: (message: string) => void;
  /** Called when the following turn should come at once. */
  readonly onNews?: () => void;
  readonly surroundings?: RuntimeSurroundings;
}

interface KnownEvent {
  readonly system: string;
  readonly name: string;
  readonly print: EventPrinter;
}

export class LiveEvents {
  readonly #providers: ProviderSet;
  readonly #eventsById = new Map<number, KnownEvent>();
  readonly #commByTid = new Map<number, string>();
  #came: LiveEvent[] = [];
  #laneCount = 0;

  /** Begins to follow. */
  constructor(options: LiveEventsOptions) {
    const catalog = new EventCatalog(({ system, text }) => {
      const format = parseEventFormat(system, text);
      if (format !== undefined)
        this.#eventsById.set(format.id, {
          system,
          name: format.name,
          print: probePrinter(format) ?? eventPrinter(format),
        });
    });
    this.#providers = new ProviderSet({
      ...options,
      request: options,
      writtenId: catalog.idOf,
      follow: (provider) => this.#follow(provider),
    });
  }

  /** Wants other events from now on. */
  change(choice: EventChoice): void {
    this.#providers.change(choice);
  }

  /**
   * Reads what there is.
   *
   * @returns the events that came, and which part of a lane was unread at most
   */
  turn(): { readonly events: readonly LiveEvent[]; readonly fill: number } {
    const fill = this.#providers.turn();
    return { events: this.#take(), fill };
  }

  /** Whether a process that is followed has an event of that name now. */
  has(matches: SessionRequest['matches']): boolean {
    return this.#providers.providers.some(({ file, events }) => {
      const withdrawn = file.withdrawnEvents();
      return events.some(({ index, system, name }) => !withdrawn.has(index) && matches(system, name));
    });
  }

  /** Ends all sessions; answers with the last events. */
  stop(): readonly LiveEvent[] {
    this.#providers.stop(true);
    return this.#take();
  }

  #take(): readonly LiveEvent[] {
    const came = this.#came;
    this.#came = [];
    return came.toSorted((a, b) => (a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0));
  }

  #follow(provider: AttachedProvider): LaneFollower {
    const { file, rules } = provider;
    const lane = this.#laneCount++;
    let namesSeen: number | undefined;
    let copy: LaneCopy | undefined;
    const begin = (): LaneCopy | undefined => {
      const { reader } = provider;
      if (reader === undefined) return undefined;
      return new LaneCopy({
        reader,
        rules,
        from: provider.from,
        createdAt: BigInt(Math.floor(file.opened.createdAt)),
        sink: this.#sink(lane),
        refresh: () => provider.refresh(),
      });
    };
    return {
      turn: () => {
        const { threadNameChanges } = file.header();
        if (threadNameChanges !== namesSeen) {
          namesSeen = threadNameChanges;
          for (const [tid, comm] of file.threadNames()) this.#commByTid.set(tid, commText(comm));
        }
        copy ??= begin();
        const { reader } = provider;
        if (copy === undefined || reader === undefined) return 0;
        const { pages, isBehind } = copy.turn(BATCHES_PER_TURN, () =>
          provider.setUnreadPage(reader.position),
        );
        return isBehind ? 1 : pages / provider.pageCount;
      },
      end: () => undefined,
    };
  }

  /** Takes each record once, also of a page that comes again because it has grown. */
  #sink(lane: number): PageSink {
    let seenOfLast = 0;
    const takeAll = (pages: Uint8Array): void => {
      for (let start = 0; start < pages.length; start += SUB_BUFFER_SIZE)
        seenOfLast = this.#takePage(lane, pages.subarray(start, start + SUB_BUFFER_SIZE), 0);
    };
    return {
      append: takeAll,
      rewriteLast: (page) => {
        seenOfLast = this.#takePage(lane, page, seenOfLast);
      },
    };
  }

  /** @returns how many records the page has */
  #takePage(lane: number, page: Uint8Array, seen: number): number {
    const view = new DataView(page.buffer, page.byteOffset, page.length);
    const { timestamp, dataLength, lost } = readSubBufferHeader(page);
    const cursor = new RecordCursor(view);
    let count = 0;
    for (; cursor.advance(SUB_BUFFER_HEADER_SIZE + dataLength); count++) {
      if (count < seen) continue;
      const entry = page.subarray(cursor.entryStart, cursor.entryStart + cursor.entryLength);
      this.#takeRecord(lane, timestamp + BigInt(cursor.elapsedNs), entry, count === 0 ? lost : 0);
    }
    return count;
  }

  #takeRecord(lane: number, timestamp: bigint, bytes: Uint8Array, lostBefore: number | 'unknown'): void {
    if (bytes.length < COMMON_FIELDS_SIZE) return;
    const { type, pid: tid } = readCommonFields(bytes);
    const known = this.#eventsById.get(type);
    if (known === undefined) return;
    const entry = Uint8Array.from(bytes);
    const text = (): string => {
      const view = new EntryView();
      view.set(entry);
      return known.print(view);
    };
    this.#came.push({
      lane,
      timestamp,
      tid,
      comm: this.#commByTid.get(tid) ?? '<...>',
      system: known.system,
      name: known.name,
      entry,
      text,
      lostBefore,
    });
  }
}
