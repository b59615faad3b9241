/**
 * The provider of this thread: it owns the provider file, the lane, the sessions' table and the events. It is made with the
 * first tracepoint, one for a thread (isolate), and lives as long as the thread; copies of this package that a
 * program has loaded share it. Where it cannot be made, `unavailable` says why, and tracepoints are never enabled.
 *
 * It has no timer and no handle that keeps the process alive; what has to be looked at now and then is looked at on the way
 * of an event, each 4.3 s.
 */
import { LANE_PAGES_MIN, laneSize, PROVIDER_EVENTS_MAX, PROVIDER_FIRST_EVENT_ID } from '@usertrace/abi';
import { makeRuntimeFolder } from '@usertrace/linux';
import { type LaneOwner, LaneWriter } from '@usertrace/ring';
import { realpathSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import type { Declaration } from '../declaration.ts';
import type { EncoderClock } from '../encoder/composed-encoder.ts';
import { checkedLaneBytes, laneBytesOf, lanePagesFor } from '../settings.ts';
import { type EmitterHost, EventEmitter, type RecordFunction } from './event-emitter.ts';
import { KernelEvents, kernelFolders } from './kernel-events.ts';
import { providersOfThread, removeOwnFiles, sweepLeftovers } from './leftovers.ts';
import { ownThread, ProviderMemory } from './provider-memory.ts';
import { SessionTable } from './session-table.ts';

/** What there is once the provider file is made. */
interface OpenProvider {
  readonly memory: ProviderMemory;
  readonly sessions: SessionTable;
  readonly kernel: KernelEvents;
}

/** After memory was refused, so long nothing is asked for. */
const LANE_RETRY_MS = 1000;
/** The most providers of one thread, each of which has descriptors and a listener of the process's exit. */
const PROVIDERS_OF_THREAD_MAX = 8;

const clock64 = new BigUint64Array(1);
/** Taken at once, so that what a test puts in its place later is not traced time. */
const clock: EncoderClock = {
  clock64,
  clock32: new Int32Array(clock64.buffer),
  // oxlint-disable-next-line typescript/unbound-method -- it needs no this
  now: process.hrtime.bigint,
};

export class Provider implements EmitterHost, LaneOwner {
  readonly clock: EncoderClock = clock;
  #laneBytes: number = laneBytesOf(process.env);
  #open: OpenProvider | undefined = undefined;
  #isTried = false;
  #reason: string | undefined = undefined;
  #lane: LaneWriter | undefined = undefined;
  #noLaneUntilMs = 0;
  #isAside = false;
  #scratch: LaneWriter | undefined = undefined;

  /** Why events of this thread are not recorded; undefined when they can be. */
  unavailable(): string | undefined {
    this.#opened();
    return this.#reason;
  }

  /**
   * Sets how much memory the events may take.
   *
   * @throws {RangeError} out of bounds
   * @throws {Error} when the memory is already there
   */
  setLaneBytes(laneBytes: number): void {
    const checked = checkedLaneBytes(laneBytes);
    if (this.#lane !== undefined) {
      throw new Error(
        'Cannot set laneBytes: events have been recorded already; set it before the first is on',
      );
    }
    this.#laneBytes = checked;
  }

  /**
   * Adds an event.
   *
   * @param install told of the function that records it, whenever that changes
   * @returns undefined when it cannot be recorded
   */
  add(declaration: Declaration, install: (record: RecordFunction) => void): EventEmitter | undefined {
    const open = this.#opened();
    if (open === undefined) return undefined;
    const index = this.#append(open.memory, declaration.command);
    if (index === undefined) return undefined;
    const identity = { eventId: PROVIDER_FIRST_EVENT_ID + index, tid: open.memory.tid };
    const emitter = new EventEmitter(declaration, index, open.memory.word(index), identity, this, install);
    this.#aside(() => {
      open.sessions.adopt(declaration.name);
      open.kernel.add(declaration.command);
    });
    return emitter;
  }

  /**
   * Switches events on or off in the standing session, the program's own flight recorder.
   *
   * @throws {Error} see SessionTable.switchStanding(); nothing where events cannot be recorded
   */
  switchStanding(pattern: string, isOn: boolean): void {
    this.#opened()?.sessions.switchStanding(pattern, isOn);
  }

  lane(): LaneWriter | undefined {
    return this.#lane ?? this.#makeLane();
  }

  scratchLane(): LaneWriter {
    const nobody: LaneOwner = { mayOverwrite: () => true, timePassed: () => this.timePassed() };
    this.#scratch ??= new LaneWriter(new ArrayBuffer(laneSize(LANE_PAGES_MIN)), 0, LANE_PAGES_MIN, nobody);
    return this.#scratch;
  }

  attend(): void {
    this.#open?.memory.clearAttention();
    this.#aside(() => this.#open?.kernel.heed());
  }

  writeToKernel(index: number, record: Uint8Array): void {
    try {
      this.#open?.kernel.write(index, record);
    } catch (error) {
      this.#reason = (error as Error).message;
    }
  }

  mayOverwrite(page: number): boolean {
    return this.#open?.sessions.mayOverwrite(page) ?? true;
  }

  timePassed(): void {
    this.#aside(() => {
      this.#open?.sessions.purgeDead();
      this.#open?.kernel.look();
    });
  }

  /**
   * Does what calls the system on the way of an event, which throws nothing into the program. Programs put functions of their own
   * in the place of node:fs's, and these may emit events: what is being done already is not begun again.
   */
  #aside(work: () => void): void {
    if (this.#isAside) return;
    this.#isAside = true;
    try {
      work();
    } catch (error) {
      this.#reason = (error as Error).message;
    } finally {
      this.#isAside = false;
    }
  }

  #append(memory: ProviderMemory, command: string): number | undefined {
    try {
      const index = memory.appendEvent(command);
      if (index === undefined)
        this.#reason = `a thread records ${PROVIDER_EVENTS_MAX} events, and not those after`;
      return index;
    } catch (error) {
      this.#reason = (error as Error).message;
      return undefined;
    }
  }

  #opened(): OpenProvider | undefined {
    if (this.#isTried) return this.#open;
    this.#isTried = true;
    try {
      const uid = process.geteuid?.() ?? 0;
      // Its name as the kernel has it, for mappings to be found by, which is the same after chdir().
      const folder = realpathSync(makeRuntimeFolder({ uid, environment: process.env }));
      const tid = ownThread();
      if (providersOfThread(folder, tid) >= PROVIDERS_OF_THREAD_MAX) {
        throw new Error(
          `Cannot record events here: this thread has loaded its tracepoints ${PROVIDERS_OF_THREAD_MAX} times already, each in a context of its own`,
        );
      }
      const memory = ProviderMemory.create(folder, tid);
      const folders = kernelFolders(uid, process.env);
      const sessions = new SessionTable(memory);
      this.#open = { memory, sessions, kernel: new KernelEvents(memory, folders) };
      process.on('exit', (code) => this.#end(code));
      sweepLeftovers({
        folder,
        ownPath: memory.path,
        startTicks: memory.startTicks,
        kernelFolders: folders,
      });
      this.#enableFromEnvironment(sessions);
    } catch (error) {
      this.#reason ??= (error as Error).message;
    }
    return this.#open;
  }

  #enableFromEnvironment(sessions: SessionTable): void {
    for (const pattern of (process.env['USERTRACE_ENABLE'] ?? '').split(',')) {
      if (pattern.trim() !== '') sessions.switchStanding(pattern.trim(), true);
    }
  }

  #makeLane(): LaneWriter | undefined {
    if (this.#open === undefined || performance.now() < this.#noLaneUntilMs) return undefined;
    const { memory, sessions } = this.#open;
    const pageCount = lanePagesFor(this.#laneBytes);
    try {
      this.#lane = new LaneWriter(memory.mapLane(pageCount), 0, pageCount, this);
      memory.announceLane(pageCount);
      sessions.isSilent = false;
      this.#reason = undefined;
    } catch (error) {
      // Nothing is on until a tracer asks for it again; then there may be memory.
      this.#reason = (error as Error).message;
      this.#noLaneUntilMs = performance.now() + LANE_RETRY_MS;
      sessions.isSilent = true;
      this.#aside(() => sessions.recount());
    }
    return this.#lane;
  }

  /** Called when the thread ends by itself. What a crash leaves stays for `usertrace recover`. */
  #end(code: number): void {
    const open = this.#open;
    if (open === undefined) return;
    const { memory } = open;
    try {
      if (code === 0 || this.#lane === undefined) {
        memory.setEnded();
        if (isMainThread) unlinkSync(memory.path);
      }
      if (code === 0 && isMainThread) removeOwnFiles(dirname(memory.path), memory.startTicks);
    } catch {
      // The file is gone already, or its folder: that is what was wanted.
    }
  }
}
