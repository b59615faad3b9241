/**
 * The tracker against a simulated system. `World` is a process tree that answers as /proc and kcmp(2) do and emits the
 * connector's events; each of its tasks knows what it has registered by the kernel's rules. `Sink` stands for the
 * domain, and learns of tasks from the tracker only. Random histories, in which things also happen in the middle of
 * the tracker's work (`World.meanwhile`), must leave both with the same idea.
 */
import { Nanoseconds, Pid, Tid } from '@usertrace/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ConnectorBatch } from './connector.ts';
import type { ProcessEvent } from './connector-messages.ts';
import type { EventSource, TaskPort, TaskSight, TaskSink } from './port.ts';
import type { Absence } from './procfs.ts';
import { TaskTracker } from './tracker.ts';

/** What a task has registered; one object is shared by those that share it. */
type Registrations = Set<number>;

interface SimulatedTask {
  readonly tid: Tid;
  readonly pid: Pid;
  readonly startTicks: number;
  readonly parent: SimulatedTask | undefined;
  memory: { readonly image: string };
  registrations: Registrations | undefined;
  /** Whether /proc did not show its descent when it could first be looked for: its parent had ended or execed. */
  isDescentHidden: boolean;
}

const INIT = Pid(1);

class World implements TaskPort, EventSource {
  readonly tasks = new Map<Tid, SimulatedTask>();
  readonly #parents = new Map<Pid, Pid>();
  readonly #exitWatches = new Map<Pid, Set<() => void>>();
  readonly #isDescentSeen = new Set<SimulatedTask>();
  #events: ProcessEvent[] = [];
  #hasOverflowed = false;
  #lastTid = 1;
  #imageCount = 0;
  #ticks = 0;
  #makings = 0;
  /** Things that happen while the tracker asks. */
  readonly meanwhile: (() => void)[] = [];
  /** What the reactor would call next. */
  readonly callbacks: (() => void)[] = [];

  readonly #maxTid: number;

  /** @param maxTid few, so that ids are given out again and again */
  constructor(maxTid: number) {
    this.#maxTid = maxTid;
    this.#add(Tid(INIT), INIT, undefined, { image: 'init' }, undefined);
  }

  #newTid(): Tid | undefined {
    for (let tries = 0; tries < this.#maxTid; tries++) {
      this.#lastTid = (this.#lastTid % this.#maxTid) + 1;
      if (this.#lastTid === 1) this.#ticks++;
      if (!this.tasks.has(Tid(this.#lastTid)) && !this.#parents.has(Pid(this.#lastTid)))
        return Tid(this.#lastTid);
    }
    return undefined;
  }

  #add(
    tid: Tid,
    pid: Pid,
    parent: SimulatedTask | undefined,
    memory: { image: string },
    registrations: Registrations | undefined,
  ): void {
    const isThread = (tid as number) !== pid;
    this.tasks.set(tid, {
      tid,
      pid,
      startTicks: this.#ticks,
      parent,
      memory,
      registrations,
      isDescentHidden: false,
    });
    this.#makings++;
    const parentPid = isThread ? (this.#parents.get(pid) ?? INIT) : (parent?.pid ?? INIT);
    const parentTid = isThread ? Tid(parentPid) : (parent?.tid ?? Tid(INIT));
    if (!isThread) this.#parents.set(pid, parentPid);
    this.#events.push({ kind: 'fork', parentTid, parentPid, childTid: tid, childPid: pid });
  }

  /** A new program, started by init. */
  start(): void {
    const tid = this.#newTid();
    if (tid !== undefined)
      this.#add(tid, Pid(tid), undefined, { image: `image ${++this.#imageCount}` }, undefined);
  }

  fork(parent: SimulatedTask, isSharing = false): SimulatedTask | undefined {
    const tid = this.#newTid();
    if (tid === undefined) return undefined;
    const registrations = isSharing
      ? parent.registrations
      : parent.registrations && new Set(parent.registrations);
    const memory = isSharing ? parent.memory : { ...parent.memory };
    this.#add(tid, Pid(tid), parent, memory, registrations);
    return this.tasks.get(tid);
  }

  /**
   * The thread that makes threads and, without the connector, processes: which one it was, nobody tells the tracker,
   * and it takes the leader if that has registered something, otherwise the one that has.
   */
  makerOf(pid: Pid): SimulatedTask | undefined {
    const leader = this.tasks.get(Tid(pid));
    if (leader?.registrations !== undefined) return leader;
    const registered = this.threadsOf(pid).filter((task) => task.registrations !== undefined);
    const isClear = registered.every((task) => task.registrations === registered[0]?.registrations);
    return isClear ? (registered[0] ?? leader) : undefined;
  }

  thread(maker: SimulatedTask): void {
    const tid = this.#newTid();
    if (tid !== undefined) this.#add(tid, maker.pid, maker, maker.memory, maker.registrations);
  }

  exec(task: SimulatedTask): void {
    const { pid } = task;
    for (const thread of this.threadsOf(pid)) if (thread.tid !== task.tid) this.#end(thread);
    this.tasks.delete(task.tid);
    const memory = { image: `image ${++this.#imageCount}` };
    const tid = Tid(pid);
    this.tasks.set(tid, { ...task, tid, memory, registrations: undefined, isDescentHidden: false });
    this.#events.push({ kind: 'exec', tid, pid });
    for (const child of this.tasks.values())
      if (this.#parents.get(child.pid) === pid) this.#hideDescent(child);
  }

  exit(task: SimulatedTask): void {
    this.#end(task);
    if (this.threadsOf(task.pid).length > 0) return;
    this.#parents.delete(task.pid);
    for (const [child, parent] of this.#parents)
      if (parent === task.pid) {
        this.#parents.set(child, INIT);
        for (const thread of this.threadsOf(child)) this.#hideDescent(thread);
      }
    this.callbacks.push(...(this.#exitWatches.get(task.pid) ?? []));
  }

  #hideDescent(task: SimulatedTask): void {
    if (!this.#isDescentSeen.has(task)) task.isDescentHidden = true;
  }

  /** Says that all that is there now has been found, so later changes hide nothing. */
  markSeen(): void {
    for (const task of this.tasks.values()) this.#isDescentSeen.add(task);
  }

  #end(task: SimulatedTask): void {
    this.tasks.delete(task.tid);
    this.#events.push({ kind: 'exit', tid: task.tid, pid: task.pid });
  }

  /** Loses some of the events that wait. */
  overflow(kept: number): void {
    if (this.#events.length <= kept) return;
    this.#events.length = kept;
    this.#hasOverflowed = true;
  }

  tick(): void {
    this.#ticks++;
  }

  threadsOf(pid: Pid): SimulatedTask[] {
    return [...this.tasks.values()].filter((task) => task.pid === pid);
  }

  drain(): ConnectorBatch {
    this.meanwhile.shift()?.();
    const batch = { events: this.#events, overflowed: this.#hasOverflowed };
    this.#events = [];
    this.#hasOverflowed = false;
    return batch;
  }

  look(tid: Tid): TaskSight | Absence {
    this.meanwhile.shift()?.();
    const task = this.tasks.get(tid);
    if (task === undefined) return 'gone';
    const parentPid = this.#parents.get(task.pid) ?? INIT;
    return { startTicks: task.startTicks, parentPid, image: task.memory.image };
  }

  processOf(tid: Tid): Pid | Absence {
    return this.tasks.get(tid)?.pid ?? 'gone';
  }

  processes(): Pid[] {
    return [...new Set([...this.tasks.values()].map((task) => task.pid))].toSorted((a, b) => a - b);
  }

  threads(pid: Pid): Tid[] {
    return this.threadsOf(pid).map((task) => task.tid);
  }

  newestTid(): number {
    return this.#makings;
  }

  sharesMemory(first: Tid, second: Tid): boolean {
    const memory = this.tasks.get(first)?.memory;
    return memory !== undefined && memory === this.tasks.get(second)?.memory;
  }

  watchExit(pid: Pid, ended: () => void): { cancel(): void } | undefined {
    const watches = this.#exitWatches.get(pid) ?? new Set();
    this.#exitWatches.set(pid, watches.add(ended));
    return { cancel: () => void watches.delete(ended) };
  }

  get watchCount(): number {
    return [...this.#exitWatches.values()].reduce((count, watches) => count + watches.size, 0);
  }

  now(): Nanoseconds {
    return Nanoseconds(this.#ticks * 1e7);
  }

  ticksAt(instant: Nanoseconds): number {
    return Math.floor(instant / 1e7);
  }
}

class Sink implements TaskSink {
  readonly spaces = new Map<Tid, Registrations>();

  hasAddressSpace(tid: Tid): boolean {
    return this.spaces.has(tid);
  }

  taskForked(parent: Tid, child: Tid, sharesMemory: boolean): void {
    const space = this.spaces.get(parent);
    expect(space, 'a task that has registered something forks').toBeDefined();
    expect(this.spaces.has(child), 'a task is born once').toBe(false);
    this.spaces.set(child, sharesMemory ? space! : new Set(space));
  }

  taskExeced(tid: Tid): void {
    expect(this.spaces.delete(tid)).toBe(true);
  }

  taskExited(tid: Tid): void {
    expect(this.spaces.delete(tid)).toBe(true);
  }
}

/** One world, its tracker and the sink, and the operations of a random history. */
class Scene {
  readonly world: World;
  readonly sink = new Sink();
  readonly tracker: TaskTracker;
  /** Whether the tracker is told everything. */
  readonly isExact: boolean;
  #registrationCount = 0;

  /** @param isExact false also when events are going to be lost */
  constructor(isConnected: boolean, isExact: boolean) {
    this.isExact = isExact;
    this.world = new World(isConnected && !isExact ? 1_000_000 : 150);
    this.tracker = new TaskTracker(this.world, isConnected ? this.world : undefined, this.sink);
  }

  /** Works off everything, while nothing happens. */
  settle(): void {
    for (let happen; (happen = this.world.meanwhile.shift()) !== undefined; ) happen();
    this.callBack();
    this.tracker.sweep();
    this.world.markSeen();
  }

  /** Does what the reactor would do between two requests. */
  callBack(): void {
    for (const callback of this.world.callbacks.splice(0)) callback();
  }

  register(task: SimulatedTask): void {
    this.settle();
    // It may have ended or execed meanwhile.
    if (this.world.tasks.get(task.tid) !== task) return;
    const threads = this.world.threadsOf(task.pid);
    const isOneForAll = threads.every((thread) => thread.registrations === task.registrations);
    // Which thread of a process did something is not told otherwise, so all have the same.
    if (!this.isExact && !(isOneForAll && (threads.length === 1 || task.registrations !== undefined))) return;
    expect(this.tracker.identify(task.tid)).toEqual({
      tid: task.tid,
      pid: task.pid,
      startTicks: task.startTicks,
    });
    const id = ++this.#registrationCount;
    task.registrations ??= new Set();
    task.registrations.add(id);
    const space = this.sink.spaces.get(task.tid) ?? new Set<number>();
    this.sink.spaces.set(task.tid, space.add(id));
  }

  /**
   * Compares.
   *
   * @param isHiddenAllowed whether a task may lack what it inherited if its or an ancestor's descent was hidden
   */
  check(isHiddenAllowed: boolean): void {
    this.settle();
    for (const task of this.world.tasks.values()) {
      const { tid, registrations } = task;
      const space = this.sink.spaces.get(tid);
      for (const id of space ?? []) expect(registrations?.has(id), `${tid} has ${id}`).toBe(true);
      if (!isHiddenAllowed || !this.#isHidden(task))
        expect({ tid, has: space }).toEqual({ tid, has: registrations });
    }
    for (const tid of this.sink.spaces.keys()) expect(this.world.tasks.has(tid), `${tid} is gone`).toBe(true);
  }

  /** Whether the descent was hidden of a task, or of one with which it shares what either registers. */
  #isHidden({ registrations }: SimulatedTask): boolean {
    for (const sharer of this.world.tasks.values())
      if (registrations !== undefined && sharer.registrations === registrations)
        for (let task: SimulatedTask | undefined = sharer; task !== undefined; task = task.parent)
          if (task.isDescentHidden) return true;
    return false;
  }
}

type Operation = readonly [name: (typeof OPERATIONS)[number], which: number, isMeanwhile: boolean];

const OPERATIONS = [
  'start',
  'fork',
  'fork',
  'fork',
  'daemonize',
  'vfork',
  'spawn',
  'thread',
  'exec',
  'exit',
  'exit',
  'register',
  'catchUp',
  'catchUp',
  'sweep',
  'tick',
  'overflow',
] as const;

const operations = (maxLength: number): fc.Arbitrary<Operation[]> =>
  fc.array(fc.tuple(fc.constantFrom(...OPERATIONS), fc.nat(1000), fc.boolean()), { maxLength, size: 'max' });

function act(scene: Scene, name: Operation[0], which: number): void {
  const { world, tracker } = scene;
  const living = [...world.tasks.values()].filter((task) => task.pid !== INIT);
  const task = living[which % Math.max(living.length, 1)];
  const maker = task && world.makerOf(task.pid);
  const forker = scene.isExact ? task : maker;
  if (name === 'start') world.start();
  else if (name === 'catchUp') tracker.catchUp();
  else if (name === 'sweep') tracker.sweep();
  else if (name === 'tick') world.tick();
  else if (task === undefined) return;
  else if (name === 'thread' && maker !== undefined) world.thread(maker);
  else if (name === 'exec') world.exec(task);
  else if (name === 'exit') world.exit(task);
  else if (name === 'register') scene.register(task);
  else if (forker === undefined) return;
  else if (name === 'fork') world.fork(forker);
  else if (name === 'daemonize') {
    const child = world.fork(forker);
    if (child !== undefined && world.fork(child) !== undefined) world.exit(child);
  } else if (name === 'spawn') {
    const child = world.fork(forker, true);
    if (child !== undefined) world.exec(child);
  } else if (name === 'vfork') {
    // The maker waits until the child is done with its memory, so it does not end while the tracker looks.
    scene.settle();
    if (world.tasks.get(forker.tid) === forker) world.fork(forker, true);
    scene.settle();
  }
}

/** These change what is registered or ask for a settled state, so they do not happen amid the tracker's work. */
const NEVER_MEANWHILE = new Set(['register', 'catchUp', 'sweep', 'vfork', 'overflow']);

function play(scene: Scene, history: readonly Operation[], mayOverflow: boolean): void {
  for (const [name, which, isMeanwhile] of history) {
    if (name === 'overflow') {
      if (mayOverflow && scene.tracker.knownCount > 0) scene.world.overflow(which % 4);
    } else if (isMeanwhile && !NEVER_MEANWHILE.has(name))
      scene.world.meanwhile.push(() => act(scene, name, which));
    else act(scene, name, which);
    scene.callBack();
  }
}

/** The same histories each time, unless told otherwise; fast-check prints the seed of a failure. */
const SEED = Number(process.env['USERTRACE_SEED'] ?? 20_261_121);
const RUNS = Number(process.env['USERTRACE_RUNS'] ?? 1500);

describe('TaskTracker with the connector', () => {
  it("has the kernel's idea of who has which registrations, whatever happens in whatever order", () => {
    fc.assert(
      fc.property(operations(80), (history) => {
        const scene = new Scene(true, true);
        play(scene, history, false);
        scene.check(false);
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });

  it('never invents a registration when events are lost, and misses only those of hidden descent', () => {
    fc.assert(
      fc.property(operations(80), (history) => {
        const scene = new Scene(true, false);
        play(scene, history, true);
        scene.check(true);
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });
});

describe('TaskTracker without the connector', () => {
  it('never invents a registration, and misses only those of hidden descent', () => {
    fc.assert(
      fc.property(operations(80), (history) => {
        const scene = new Scene(false, false);
        play(scene, history, false);
        scene.check(true);
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });

  it('finds all descendants of a program that registered before it forked, orphans too', () => {
    const unregistering = operations(60).map((history) => history.filter(([name]) => name !== 'register'));
    fc.assert(
      fc.property(unregistering, (history) => {
        const scene = new Scene(false, false);
        scene.world.start();
        scene.register(scene.world.tasks.get(Tid(2))!);
        play(scene, history, false);
        scene.check(false);
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });
});
