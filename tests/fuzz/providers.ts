/**
 * Provider files with random bytes changed, cut off, or replaced, before and while tools read them and change their
 * sessions.
 *
 * Whatever stands there, a tool answers with an error that names what is wrong, or with fewer events. Where only the
 * bytes around events are changed (headers, counts, lengths, times), each event that comes out is one that went in,
 * with its own fields. A payload has no redundancy: when its bytes are changed nobody can tell, so then only the
 * tool's own life is at stake.
 */
import { mkdtempSync, openSync, closeSync, ftruncateSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  decodeSubBuffer,
  laneSize,
  lanePagesOffset,
  PROVIDER_FIRST_EVENT_ID,
  PROVIDER_MAPPED_SIZE,
  PROVIDER_OFFSET,
  RecordCursor,
} from '@usertrace/abi';
import { ErrnoError, eventMatcher } from '@usertrace/base';
import {
  addEvents,
  emptyRules,
  LaneCopy,
  ProviderFile,
  ProviderSession,
  purgeSessions,
  readSessions,
  switchStanding,
} from '@usertrace/recording';
import { LaneReader } from '@usertrace/ring';
import { SimulatedProvider } from '../../packages/recording/src/provider.sim.ts';
import { Random } from './random.ts';

const PAGE_COUNT = 6;
const PAGE_SIZE = 4096;
const EVENTS = 2_000;
/** The most bytes that one run changes. */
const CHANGES_MAX = 6;
const DEADLINE_MS = 5_000;
/** Turns of one lane: pages that are changed while they are read can make the reader come back. */
const BATCHES = 64;

/** A provider file as it was left, and which of its bytes have redundancy. */
interface Template {
  readonly path: string;
  readonly bytes: Buffer;
  /** Places whose change must not bring out an event that never was. */
  readonly checkedPlaces: readonly number[];
  /**
   * Entries of all events that were ever written; some have been overwritten, but for what is behind the newest
   * page's end.
   */
  readonly originals: ReadonlySet<string>;
  /** Events that can be read of it. */
  readonly eventCount: number;
}

/**
 * Reads damaged provider files.
 *
 * @throws {Error} when a rule was broken, with the run's number
 */
export function fuzzProviders(seed: number, runs: number): void {
  const folder = mkdtempSync(path.join(tmpdir(), 'usertrace-fuzz-'));
  try {
    const template = makeTemplate(folder);
    const random = new Random(seed);
    const answers = { whole: 0, shorter: 0, refused: 0 };
    for (let run = 0; run < runs; run++) {
      try {
        answers[fuzzOne(template, random)] += 1;
      } catch (error) {
        throw new Error(`Run ${run} of seed ${seed} broke a rule`, { cause: error });
      }
    }
    console.log(
      `  ${Object.entries(answers)
        .map(([answer, count]) => `${answer} ${count}`)
        .join(', ')}`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function makeTemplate(folder: string): Template {
  const provider = new SimulatedProvider(folder, process.pid, PAGE_COUNT);
  const long = provider.declare('long u32 number; u32 a; u32 b; u32 c');
  const short = provider.declare('short u32 number');
  provider.setWord(long, 1);
  provider.setWord(short, 1);
  const originals = new Set<string>();
  for (let number = 0; number < EVENTS; number++) {
    const isShort = number % 3 === 0;
    const payload = isShort ? [number] : [number, number * 3, ~number, number * 7];
    provider.emit(isShort ? short : long, ...payload);
    const id = PROVIDER_FIRST_EVENT_ID + (isShort ? short : long);
    originals.add(identityOf(new Uint8Array(Int32Array.of(id, process.pid, ...payload).buffer)));
  }
  provider.die();
  const bytes = readFileSync(provider.path);
  let eventCount = 0;
  const pagesStart = PROVIDER_OFFSET.lane + lanePagesOffset(PAGE_COUNT);
  const checkedPlaces = [
    ...range(PROVIDER_OFFSET.header, 128),
    ...range(PROVIDER_OFFSET.words, 16),
    ...range(PROVIDER_OFFSET.sessions, 2_048),
    ...range(PROVIDER_OFFSET.events, 4),
    ...range(PROVIDER_OFFSET.lane, 24),
    ...range(PROVIDER_OFFSET.lane + PAGE_SIZE, PAGE_COUNT * 16),
  ];
  for (let page = 0; page < PAGE_COUNT; page++) {
    const start = pagesStart + page * PAGE_SIZE;
    const subBuffer = bytes.subarray(start, start + PAGE_SIZE);
    eventCount += [...decodeSubBuffer(subBuffer)].length;
    checkedPlaces.push(...range(start, 16));
    const cursor = new RecordCursor(new DataView(subBuffer.buffer, subBuffer.byteOffset, PAGE_SIZE));
    const end = 16 + subBuffer.readUInt32LE(8);
    while (cursor.advance(end)) {
      // The record's header, flags and preempt count, and pid; not the id.
      checkedPlaces.push(
        ...range(start + cursor.entryStart - 4, 4),
        ...range(start + cursor.entryStart + 2, 6),
      );
    }
  }
  return { path: provider.path, bytes, checkedPlaces, originals, eventCount };
}

function fuzzOne(template: Template, random: Random): 'whole' | 'shorter' | 'refused' {
  const damage = new Damage(template, random, !random.oneIn(4));
  const startedAt = performance.now();
  let file: ProviderFile | undefined;
  let events = 0;
  let isRefused = false;
  try {
    if (!random.oneIn(4)) damage.add();
    file = ProviderFile.open(template.path, process.getuid?.() ?? 0, 'change');
    if (random.oneIn(3)) damage.add();
    if (random.oneIn(2)) changeSomething(file, random);
    events = readLane(file, damage, template, random);
    if (random.oneIn(4)) changeSomething(file, random);
  } catch (error) {
    if (!(error instanceof ErrnoError) || !error.message.startsWith('Cannot ')) throw error;
    isRefused = true;
  } finally {
    file?.close();
    damage.repair();
  }
  const durationMs = performance.now() - startedAt;
  if (durationMs > DEADLINE_MS) throw new Error(`It took ${durationMs} ms`);
  if (isRefused) return 'refused';
  return events >= template.eventCount ? 'whole' : 'shorter';
}

/** Copies the lane as recorders do, with damage in between, and checks what comes out. */
function readLane(file: ProviderFile, damage: Damage, { originals }: Template, random: Random): number {
  const { pageCount, createdAt } = file.header();
  if (pageCount === 0) return 0;
  const reader = new LaneReader((into, offset) => {
    if (random.oneIn(40)) damage.add();
    return file.read(into, PROVIDER_OFFSET.lane + offset);
  }, pageCount);
  const rules = emptyRules(file);
  const refresh = (): void => addEvents(rules, file.events(), ({ id }) => id);
  refresh();
  let events = 0;
  const check = (pages: Uint8Array): void => {
    for (let start = 0; start < pages.length; start += PAGE_SIZE) {
      for (const { entry } of decodeSubBuffer(pages.subarray(start, start + PAGE_SIZE))) {
        events += 1;
        if (damage.isChecked && !originals.has(identityOf(entry))) {
          throw new Error(`${identityOf(entry)} never was`);
        }
      }
    }
  };
  const copy = new LaneCopy({
    reader,
    rules,
    from: 0n,
    createdAt: BigInt(Math.floor(createdAt)),
    sink: { append: check, rewriteLast: check },
    refresh,
  });
  copy.turn(BATCHES);
  copy.finish();
  return events;
}

/** What tools do besides reading. */
function changeSomething(file: ProviderFile, random: Random): void {
  const pattern = random.pick(['*', 'long', 'none', 'sh?rt']);
  const choice = { patterns: [pattern], matches: eventMatcher(pattern) };
  readSessions(file);
  const kind = random.below(3);
  if (kind === 0) purgeSessions(file);
  else if (kind === 1) switchStanding(file, choice, random.oneIn(2));
  else {
    const session = ProviderSession.attach(file, { ...choice, mode: 'overwrite' }, 0);
    if (typeof session === 'string') return;
    session.update();
    session.setUnreadPage(random.u32());
    session.detach();
  }
}

/** Changes of a provider file, which are taken back at the end. */
class Damage {
  readonly isChecked: boolean;
  readonly #template: Template;
  readonly #random: Random;
  readonly #fd: number;
  #isCut = false;
  readonly #places: number[] = [];

  constructor(template: Template, random: Random, isChecked: boolean) {
    this.#template = template;
    this.#random = random;
    this.isChecked = isChecked;
    this.#fd = openSync(template.path, 'r+');
  }

  add(): void {
    const { bytes, checkedPlaces } = this.#template;
    const random = this.#random;
    if (random.oneIn(12)) {
      this.#isCut = true;
      ftruncateSync(this.#fd, random.oneIn(2) ? random.below(bytes.length) : random.pick(checkedPlaces));
      return;
    }
    for (let count = 1 + random.below(CHANGES_MAX); count > 0; count--) {
      const place =
        this.isChecked || random.oneIn(2) ? random.pick(checkedPlaces) : random.below(bytes.length);
      const value = random.oneIn(2) ? random.below(256) : random.pick([0, 1, 0x7f, 0x80, 0xff]);
      writeSync(this.#fd, Uint8Array.of(value), 0, 1, place);
      this.#places.push(place);
    }
  }

  repair(): void {
    const { bytes } = this.#template;
    if (this.#isCut) writeSync(this.#fd, bytes, 0, bytes.length, 0);
    else {
      writeSync(this.#fd, bytes, 0, PROVIDER_MAPPED_SIZE, 0);
      for (const place of this.#places) writeSync(this.#fd, bytes, place, 1, place);
    }
    ftruncateSync(this.#fd, PROVIDER_OFFSET.lane + laneSize(PAGE_COUNT));
    closeSync(this.#fd);
  }
}

function identityOf(entry: Uint8Array): string {
  return Buffer.from(entry).toString('hex');
}

function range(start: number, length: number): number[] {
  return Array.from({ length }, (_, index) => start + index);
}
