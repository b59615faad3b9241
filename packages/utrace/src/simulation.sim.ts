/**
 * Utrace over the simulated kernel, under random ops. Engines answer at random, at once or later, and note what they see; `check`
 * says what must hold at each moment, `tearDown` what must hold when everybody has let go.
 */
import { SIGNAL } from '@usertrace/abi';
import { assert, ErrnoError } from '@usertrace/base';
import {
  Action,
  ALL_EVENTS,
  type Callbacks,
  type Engine,
  type ProcessEngine,
  Event,
  SignalAction,
  type Task,
  Utrace,
  type Verdict,
} from './index.ts';
import { SimClock } from './clock.sim.ts';
import { optionsFor, SYSTEM_CALL_EVENTS } from './trace-options.ts';
import { SimKernel } from './kernel.sim.ts';
import { SignalLedger } from './signal-ledger.sim.ts';
import { PROGRAM_SIGNALS, type SimThread } from './threads.sim.ts';

/** What can happen. */
export const OP_NAMES = [
  'run',
  'wait',
  'attach',
  'attachProcess',
  'control',
  'setEvents',
  'detach',
  'unref',
  'signal',
  'stop',
  'continue',
  'kill',
  'answer',
  'pass',
  'program',
] as const;

export interface Op {
  readonly name: (typeof OP_NAMES)[number];
  readonly choices: readonly [number, number, number];
}

const MAX_ENGINES = 5;
const MAX_THREADS = 12;
const DEADLINE_MS = 100;
const SETTLE_ROUNDS = 2_000;

const ACTIONS = Object.values(Action);
const WISHES = ['call', 'call', 'call', 'fork', 'thread', 'exec', 'exit', 'exit-group'] as const;

/** What is known of an engine from outside. */
interface Seen {
  readonly engine: Engine;
  references: number;
  releases: number;
  isReaped: boolean;
  isDead: boolean;
  inside: number;
}

export class Simulation {
  readonly kernel = new SimKernel();
  readonly #clock = new SimClock();
  readonly utrace: Utrace;
  readonly #seen = new Map<Engine, Seen>();
  readonly #answers: ((verdict: Verdict) => void)[] = [];
  readonly #signals = new SignalLedger();
  readonly #groups: ProcessEngine[] = [];
  #isTearingDown = false;
  #random = 1;
  #thrown: unknown;

  constructor() {
    this.utrace = new Utrace(
      () => this.kernel,
      { deadlineMs: DEADLINE_MS, failed: (_, reason) => (this.#thrown ??= reason) },
      this.#clock,
    );
    this.kernel.makeProcess();
    this.kernel.makeProcess();
  }

  /** One thing happens. */
  async run({ name, choices }: Op): Promise<void> {
    const [first, second, third] = choices;
    this.#random = (first * 65_536 + second * 256 + third) | 1;
    const threads = this.kernel.threadsAlive;
    const thread = threads[first % Math.max(1, threads.length)];
    const engines = [...this.#seen.values()].filter(({ references }) => references > 0);
    const seen = engines[first % Math.max(1, engines.length)];
    switch (name) {
      case 'run':
        if (thread !== undefined) this.#step(thread, second, third);
        break;
      case 'wait':
        this.#wait(first);
        break;
      case 'attach':
        if (thread !== undefined) this.#attach(thread, second);
        break;
      case 'attachProcess':
        if (thread !== undefined) this.#attachProcess(thread, second, third);
        break;
      case 'control':
        if (seen !== undefined) this.#control(seen, ACTIONS[second % ACTIONS.length] as number);
        break;
      case 'setEvents':
        if (seen !== undefined) allow(() => seen.engine.setEvents(eventsOf(second)), 'ESRCH', 'EALREADY');
        break;
      case 'detach':
        if (seen !== undefined) this.#control(seen, Action.DETACH);
        break;
      case 'unref':
        if (seen !== undefined && seen.references > 0) {
          seen.references -= 1;
          seen.engine.unref();
        }
        break;
      case 'signal':
        if (thread !== undefined) this.kernel.send(thread, PROGRAM_SIGNALS[second % 3] as number);
        break;
      case 'stop':
        if (thread !== undefined) this.kernel.send(thread, SIGNAL.STOP);
        break;
      case 'continue':
        if (thread !== undefined) this.kernel.send(thread, SIGNAL.CONT);
        break;
      case 'kill':
        if (thread !== undefined && second % 4 === 0) this.kernel.send(thread, SIGNAL.KILL);
        break;
      case 'answer':
        this.#answers.splice(first % Math.max(1, this.#answers.length), 1)[0]?.(this.#verdict());
        break;
      case 'pass':
        this.#clock.pass(first % (2 * DEADLINE_MS));
        break;
      case 'program':
        if (threads.length < 4) this.kernel.makeProcess();
    }
    await flush();
    this.check();
  }

  /** What holds at each moment. */
  check(): void {
    if (this.#thrown !== undefined) throw this.#thrown;
    for (const { engine, releases } of this.#seen.values()) {
      const isKnown = engine.task.state === 'gone' || this.utrace.task(engine.task.tid) === engine.task;
      assert(
        engine.attachment !== 'attached' || isKnown,
        `nobody traces task ${engine.task.tid} for its engine`,
      );
      assert(engine.references >= 0, 'references are never negative');
      assert(
        releases === (engine.references === 0 ? 1 : 0),
        'an engine is released once, with its last reference',
      );
    }
    for (const group of this.#groups)
      for (const { attachment, task } of group.engines.values())
        assert(attachment === 'attached' || task.isReporting, 'a group has engines that are attached');
    assert(this.kernel.untoldStopsEnded === 0, 'a task goes on from a stop that was told');
    assert(this.kernel.brokenGroupStops === 0, 'a group stop lasts until SIGCONT');
    assert(this.kernel.signalsInvented === 0, 'a task gets a signal in the stop for that signal alone');
    for (const task of this.utrace.tasks) {
      const threads = [...this.kernel.threadsByTid.values()];
      // exec by a thread that is not the leader changes its number before that is told.
      const thread = threads.find(({ tid, formerTid }) => tid === task.tid || formerTid === task.tid);
      const mayBeReplaced = this.kernel.replaced.has(task.tid) || this.kernel.renamed.has(task.tid);
      const isReplaced = mayBeReplaced && thread?.isTraced !== true;
      assert(thread?.isTraced === true || isReplaced, `task ${task.tid} is a traced thread`);
      if (thread?.isTraced && thread.tid === task.tid && task.state === 'running')
        this.#checkRunning(task, thread);
    }
  }

  /** The kernel stops it for all that its engines want, or it is to stop soon and be asked for that. */
  #checkRunning(task: Task, thread: SimThread): void {
    const isOnItsWay = thread.isTrapDue || thread.untold !== undefined || thread.isKilled || thread.isExiting;
    if (isOnItsWay || thread.state !== 'running') return;
    const lacking = optionsFor(task.events, task.isFiltered) & ~thread.options;
    assert(lacking === 0, `task ${task.tid} runs without options 0x${lacking.toString(16)}`);
    // A step looks itself whether there is a call.
    const wantsCalls = (task.events & SYSTEM_CALL_EVENTS) !== 0 && !task.hasTrapFlag;
    assert(thread.tracesCalls || !wantsCalls, `task ${task.tid} runs past its calls`);
  }

  /** Everybody lets go; in the end nothing is left. */
  async tearDown(): Promise<void> {
    this.#isTearingDown = true;
    await this.#untilNothingHappens();
    for (const task of this.utrace.tasks) for (const engine of task.engines) this.#note(engine);
    for (const { engine } of this.#seen.values())
      if (engine.attachment === 'attached') allow(() => engine.control(Action.RESUME), 'ESRCH');
    await this.#untilNothingHappens();
    for (const task of this.utrace.tasks) {
      const thread = this.kernel.threadsByTid.get(task.tid);
      if (thread === undefined) continue;
      assert(!this.#hasLost(thread), `thread ${thread.tid} is ${thread.state}, and nobody wants it so`);
    }
    for (const group of this.#groups) await group.detach();
    for (const { engine } of this.#seen.values())
      if (engine.attachment === 'attached') allow(() => engine.control(Action.DETACH), 'EALREADY');
    await this.#untilNothingHappens();
    this.#clock.pass(10_000);
    await this.#untilNothingHappens();
    // A dead leader of threads that live cannot be let go, and is waited for until they are dead.
    for (const task of this.utrace.tasks) {
      const thread = this.kernel.threadsByTid.get(task.tid);
      const isRenamed = thread === undefined && this.kernel.renamed.has(task.tid);
      assert(
        isRenamed || (thread?.state === 'zombie' && thread.isTraced),
        `task ${task.tid} stays traced: ${task.state}`,
      );
    }
    for (const thread of this.kernel.threadsByTid.values()) {
      assert(!thread.isTraced || thread.state === 'zombie', `thread ${thread.tid} stays traced`);
      assert(!this.#hasLost(thread), `thread ${thread.tid} is left ${thread.state}`);
    }
    for (const seen of this.#seen.values()) {
      for (; seen.references > 0; seen.references--) seen.engine.unref();
      assert(seen.engine.references === 0 && seen.releases === 1, 'no reference leaks');
    }
    for (const thread of this.kernel.threadsAlive) this.kernel.send(thread, SIGNAL.KILL);
    await this.#untilNothingHappens();
    assert(this.utrace.taskCount === 0, 'nothing outlives its task');
    assert(this.#clock.waitingCount === 0, 'no timer is left');
    await this.utrace.close();
    this.check();
  }

  /** Whether it is stopped without a reason. */
  #hasLost(thread: SimThread): boolean {
    if (thread.state === 'stopped') return true;
    if (thread.state === 'listening' || thread.state === 'group-stopped')
      return thread.process.groupStop === 0;
    return false;
  }

  async #untilNothingHappens(): Promise<void> {
    for (let round = 0; round < SETTLE_ROUNDS; round++) {
      let hasHappened = false;
      while (this.#wait(round)) hasHappened = true;
      this.utrace.lookAgain();
      for (const thread of this.kernel.threadsAlive) {
        const isDue =
          thread.isTrapDue ||
          thread.isNotifyDue ||
          thread.isKilled ||
          thread.isExiting ||
          thread.state === 'executing' ||
          thread.pending.length > 0 ||
          thread.inCall;
        const joins = thread.process.groupStop !== 0 && !thread.hasJoinedGroupStop;
        if (!this.kernel.isRunnable(thread) || !(isDue || joins)) continue;
        const wasExecuting = thread.state === 'executing';
        this.#step(thread, 0, round);
        hasHappened ||= !wasExecuting || thread.state !== 'executing';
      }
      for (const answer of this.#answers.splice(0)) answer(Action.RESUME);
      await flush();
      this.check();
      if (hasHappened) continue;
      if (this.#clock.waitingCount === 0) return;
      this.#clock.pass(DEADLINE_MS);
      await flush();
    }
    throw new Error('something happens for ever');
  }

  #step(thread: SimThread, second: number, third: number): void {
    let wish: (typeof WISHES)[number] = this.#isTearingDown
      ? 'call'
      : (WISHES[second % WISHES.length] ?? 'call');
    if ((wish === 'fork' || wish === 'thread') && this.kernel.threadsByTid.size >= MAX_THREADS) wish = 'call';
    this.kernel.step(thread, wish, third);
    this.#signals.check(thread);
  }

  #wait(choice: number): boolean {
    const found = this.kernel.wait(choice);
    if (found === undefined) return false;
    this.utrace.handle(found.tid, found.status);
    this.utrace.takeYield();
    for (const thread of this.kernel.threadsByTid.values()) this.#signals.check(thread);
    return true;
  }

  #attach(thread: SimThread, choice: number): void {
    if (this.#engineCount(thread.tid) >= MAX_ENGINES) return;
    const callbacks = this.#callbacks();
    const engine = allow(
      () => this.utrace.attachTask(thread.tid, callbacks, eventsOf(choice)),
      'ESRCH',
      'EPERM',
    );
    if (engine !== undefined) this.#note(engine).references = 1;
  }

  #attachProcess(thread: SimThread, choice: number, follow: number): void {
    if (this.#engineCount(thread.tid) >= MAX_ENGINES) return;
    const group = allow(
      () =>
        this.utrace.attach(thread.process.tgid, this.#callbacks(), {
          events: eventsOf(choice),
          follow: follow % 2 === 0,
        }),
      'ESRCH',
      'EPERM',
    );
    if (group === undefined) return;
    this.#groups.push(group);
    for (const engine of group.engines.values()) this.#note(engine);
  }

  #engineCount(tid: number): number {
    return this.utrace.task(tid)?.engines.length ?? 0;
  }

  #control(seen: Seen, action: number): void {
    const { engine } = seen;
    const wasStill = engine.task.isStopped && !engine.task.isReporting;
    const answer = allow(() => engine.control(action), 'ESRCH', 'EALREADY', 'EINVAL', 'EAGAIN');
    if (action === Action.STOP && answer !== undefined)
      assert((answer === 'done') === wasStill, 'STOP is done at once only when the task is stopped');
    if (action === Action.DETACH && answer !== undefined)
      assert(engine.attachment === 'detached', 'DETACH is done at once');
  }

  #note(engine: Engine): Seen {
    let seen = this.#seen.get(engine);
    if (seen === undefined) {
      seen = { engine, references: 0, releases: 0, isReaped: false, isDead: false, inside: 0 };
      this.#seen.set(engine, seen);
    }
    return seen;
  }

  #nextRandom(): number {
    this.#random = (Math.imul(this.#random, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return this.#random >>> 8;
  }

  #verdict(): Verdict {
    if (this.#isTearingDown) return Action.RESUME;
    const choice = this.#nextRandom() % 12;
    return choice < 7 ? ACTIONS[choice] : undefined;
  }

  #callbacks(): Callbacks {
    // Most engines only look: such a one answers nothing.
    const isWatcher = this.#nextRandom() % 2 === 0;
    const called = (engine: Engine, event: number): Verdict | Promise<Verdict> => {
      const seen = this.#note(engine);
      assert(engine.attachment === 'attached', `an engine is not called once it is ${engine.attachment}`);
      assert(!seen.isReaped, 'REAP is the last callback');
      assert(event === Event.REAP || !seen.isDead || event === Event.DEATH, 'DEATH is the last but one');
      assert(seen.inside === 0 || engine.runningEvents.length > 0, 'callbacks of an engine do not nest');
      if (event === Event.DEATH) seen.isDead = true;
      if (event === Event.REAP) seen.isReaped = true;
      if (event !== Event.QUIESCE)
        assert((engine.events & event) !== 0, 'only events that were asked for are reported');
      if (isWatcher) return undefined;
      const verdict = this.#verdict();
      if (this.#isTearingDown || this.#nextRandom() % 4 !== 0) return verdict;
      seen.inside += 1;
      return new Promise((resolve) => {
        this.#answers.push((answer) => {
          seen.inside -= 1;
          resolve(answer);
        });
      });
    };
    return {
      quiesce: (engine) => called(engine, Event.QUIESCE),
      signal: (engine, { signal }) => {
        const verdict = called(engine, Event.SIGNAL);
        if (typeof verdict !== 'number' || this.#nextRandom() % 4 !== 0) return verdict;
        const thread = this.kernel.threadsByTid.get(engine.task.tid) as SimThread;
        this.#signals.ignore(thread, signal);
        return verdict | SignalAction.IGNORE;
      },
      clone: (engine, child) => {
        if (!this.#isTearingDown && this.#nextRandom() % 2 === 0 && child.engines.length < MAX_ENGINES) {
          const attached = allow(
            () => child.attach(this.#callbacks(), eventsOf(this.#nextRandom())),
            'ESRCH',
          );
          if (attached !== undefined) {
            this.#note(attached).references = 1;
            if (this.#nextRandom() % 2 === 0) allow(() => attached.control(Action.STOP), 'ESRCH');
          }
        }
        return called(engine, Event.CLONE);
      },
      exec: (engine) => called(engine, Event.EXEC),
      exit: (engine) => called(engine, Event.EXIT),
      death: (engine) => called(engine, Event.DEATH),
      reap: (engine) => called(engine, Event.REAP),
      syscallEntry: (engine) => called(engine, Event.SYSCALL_ENTRY),
      syscallExit: (engine) => called(engine, Event.SYSCALL_EXIT),
      jobControl: (engine) => called(engine, Event.JOB_CONTROL),
      release: (engine) => {
        this.#note(engine).releases += 1;
      },
    };
  }
}

/** Bits of Event; half of the engines are not told of everything. */
function eventsOf(choice: number): number {
  return choice & ALL_EVENTS & ((choice & 0x1000) === 0 ? ~0 : ~Event.QUIESCE);
}

/** Does something that may be refused for these reasons. */
function allow<T>(work: () => T, ...codes: string[]): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof ErrnoError && codes.includes(error.code)) return undefined;
    throw error;
  }
}

async function flush(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await Promise.resolve();
}
