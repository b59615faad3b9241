/**
 * The tracker against a simulated system (world.sim.ts). `Sink` stands for the domain, and learns of tasks from the
 * tracker only. Random histories must leave both with the same idea. A failing run prints its seed; USERTRACE_SEED
 * replays it, USERTRACE_RUNS says how many histories to try.
 */
import { Tid } from '@usertrace/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TaskSink } from './port.ts';
import { TaskTracker } from './tracker.ts';
import { INIT, type Registrations, type SimulatedTask, World } from './world.sim.ts';

class Sink implements TaskSink {
  readonly spaces = new Map<Tid, Registrations>();
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  hasAddressSpace(tid: Tid): boolean {
    return this.spaces.has(tid);
  }

  taskForked(parent: Tid, child: Tid, sharesMemory: boolean, isStillChild: () => boolean): void {
    const space = this.spaces.get(parent);
    expect(space, 'a task that has registered something forks').toBeDefined();
    expect(this.spaces.has(child), 'a task is born once').toBe(false);
    this.#world.meanwhile.shift()?.();
    const opened = this.#world.tasks.get(child);
    const isAsMade = (task = this.#world.tasks.get(child)): boolean => task !== undefined && !task.hasExeced;
    const couldBeOpened = isAsMade(opened);
    const isStill = sharesMemory || isStillChild();
    if (isStill && !sharesMemory)
      expect(couldBeOpened, `${child} has the memory it was made with`).toBe(true);
    if (!isStill) expect(isAsMade(), `${child} is still as it was made`).toBe(false);
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
  readonly sink: Sink;
  readonly tracker: TaskTracker;
  /** Whether the tracker is told everything. */
  readonly isExact: boolean;
  #registrationCount = 0;

  /**
   * @param isExact false also when events are going to be lost
   * @param isRandomised whether images can be told apart
   */
  constructor(isConnected: boolean, isExact: boolean, isRandomised = true) {
    this.isExact = isExact;
    this.world = new World(isConnected && !isExact ? 1_000_000 : 150, isRandomised);
    this.sink = new Sink(this.world);
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

  /** Starts the first program and lets it register something. */
  startRegistered(): SimulatedTask {
    this.world.start();
    const program = this.world.tasks.get(Tid(2))!;
    this.register(program);
    return program;
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

const RUNS = Number(process.env['USERTRACE_RUNS'] ?? 1500);
const SEED = Number(process.env['USERTRACE_SEED'] ?? Math.trunc(Math.random() * 0x7fff_ffff));
const TIMEOUT_MS = 60_000 + 20 * RUNS;
const REPLAY = `(USERTRACE_SEED=${SEED})`;

/** How events come to the tracker: all of them, with losses, or none at all. */
type Telling = 'told all' | 'told with losses' | 'not told';

function assertHistories(telling: Telling, isRandomised = true): void {
  const isExact = telling === 'told all';
  const property = fc.property(operations(80), (history) => {
    const scene = new Scene(telling !== 'not told', isExact, isRandomised);
    play(scene, history, telling === 'told with losses');
    scene.check(!isExact);
  });
  fc.assert(property, { numRuns: RUNS, seed: SEED });
}

describe('TaskTracker with the connector', () => {
  it(
    `has the kernel's idea of who has which registrations, whatever happens in whatever order ${REPLAY}`,
    () => assertHistories('told all'),
    TIMEOUT_MS,
  );

  it(
    `has it too where addresses are not randomised ${REPLAY}`,
    () => assertHistories('told all', false),
    TIMEOUT_MS,
  );

  it(
    `never invents a registration when events are lost, and misses only those of hidden descent ${REPLAY}`,
    () => assertHistories('told with losses'),
    TIMEOUT_MS,
  );

  it('knows that the threads of a child share their memory, although its first thread has ended', () => {
    const scene = new Scene(true, true);
    const { world } = scene;
    const child = world.fork(scene.startRegistered())!;
    world.thread(child);
    world.thread(child);
    world.exit(child);
    const [first, second] = world.threadsOf(child.pid);
    scene.register(first!);
    expect(scene.sink.spaces.get(second!.tid)).toBe(scene.sink.spaces.get(first!.tid));
    scene.check(false);
  });

  it('finds a child that was made by a lost thread, and then ended, while lost events are made up for', () => {
    const scene = new Scene(true, false);
    const { world } = scene;
    const child = world.fork(scene.startRegistered())!;
    world.thread(child);
    world.overflow(0);
    let grandchild: SimulatedTask | undefined;
    world.meanwhile.push(
      // Before the search, and within it.
      () => world.start(),
      () => {
        grandchild = world.fork(child);
        world.exit(child);
      },
    );
    scene.tracker.catchUp();
    expect(scene.sink.spaces.get(grandchild!.tid)).toEqual(new Set([1]));
    scene.check(false);
  });
});

describe('TaskTracker without the connector', () => {
  it(
    `never invents a registration, and misses only those of hidden descent ${REPLAY}`,
    () => assertHistories('not told'),
    TIMEOUT_MS,
  );

  it(
    `finds all descendants of a program that registered before it forked, orphans too ${REPLAY}`,
    () => {
      const unregistering = operations(60).map((history) => history.filter(([name]) => name !== 'register'));
      fc.assert(
        fc.property(unregistering, (history) => {
          const scene = new Scene(false, false);
          scene.startRegistered();
          play(scene, history, false);
          scene.check(false);
        }),
        { numRuns: RUNS, seed: SEED },
      );
    },
    TIMEOUT_MS,
  );
});
