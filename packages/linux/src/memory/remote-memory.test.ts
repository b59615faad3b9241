import { type ChildProcessWithoutNullStreams, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Address, Tid, Uid } from '@usertrace/base';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { monotonicNow } from '../clock.ts';
import { Reactor } from '../reactor/reactor.ts';
import type { AddressSpace } from './address-space.ts';
import { HANDLES } from './arena.ts';
import { type AccessFailure, RemoteMemory, type RemoteMemoryOptions } from './remote-memory.ts';
import { MAX_HELD_PER_USER } from './user-conduct.ts';

const hasCompiler = spawnSync('cc', ['--version']).status === 0;
if (!hasCompiler) console.warn('skipped: RemoteMemory against real processes needs a C compiler (cc)');

/** What a server in a process of its own imports: Node 20 runs no TypeScript. */
const built = join(import.meta.dirname, '../../dist/index.js');
const isBuilt = existsSync(built);
if (!isBuilt)
  console.warn('skipped: what happens to executors when the server is killed needs npm run build');

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'usertrace-'));
  if (!hasCompiler) return;
  const source = join(import.meta.dirname, 'target.c');
  writeFileSync(join(directory, 'stuck'), '');
  execFileSync('cc', ['-O1', '-pthread', '-o', join(directory, 'target'), source]);
});
afterAll(() => rmSync(directory, { recursive: true }));

type Place = 'word' | 'readonly' | 'none' | 'unmapped' | 'two' | 'text' | 'hung' | 'stuck';

const ALICE = Uid(1000);
const BOB = Uid(1001);
/** Less than a test's own deadline, so that it says what did not come. */
const DEADLINE_NS = 4e9;
/** So many hangs delay those who wait for them by 300 ms at least. */
const STUCK_READS = 60;

/** What a test started beside its target. */
const others: Target[] = [];
afterEach(async () => {
  for (const other of others.splice(0)) await other.end();
});

/** A running target.c. */
class Target {
  readonly #child: ChildProcessWithoutNullStreams = spawn(
    join(directory, 'target'),
    [join(directory, 'stuck')],
    { detached: true },
  );
  readonly #lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  readonly #exit = new Promise((resolve) => this.#child.once('close', resolve));
  readonly #places = new Map<string, bigint>();

  static async start(): Promise<Target> {
    const target = new Target();
    await target.#until('ready');
    return target;
  }

  get tid(): Tid {
    return Tid(this.#child.pid ?? 0);
  }

  at(place: Place, offset = 0): Address {
    return Address((this.#places.get(place) ?? 0n) + BigInt(offset));
  }

  /** Stops the server of the stuck file: then a request for its page can be taken back. */
  async stopServer(): Promise<void> {
    const server = Number(this.#places.get('server'));
    process.kill(server, 'SIGSTOP');
    await until('the server is stopped', () => readFileSync(`/proc/${server}/stat`, 'utf8').includes(') T '));
  }

  /** Sends a letter and waits for its answer, if it has one. */
  async obey(letter: 'c' | 'f'): Promise<number> {
    this.#child.stdin.write(letter);
    return Number(await this.#until(letter === 'c' ? 'counting' : 'child'));
  }

  async exec(): Promise<void> {
    this.#child.stdin.write('e');
    await until('it runs sleep', () => readFileSync(`/proc/${this.tid}/comm`, 'utf8').startsWith('sleep'));
  }

  async end(): Promise<void> {
    try {
      process.kill(-Number(this.tid), 'SIGKILL');
    } catch {
      // It ended before.
    }
    await this.#exit;
  }

  async #until(name: string): Promise<bigint> {
    for (;;) {
      const { value = '', done } = await this.#lines.next();
      if (done) throw new Error('the target ended');
      const [key = '', hex = ''] = value.split(' ');
      this.#places.set(key, BigInt(`0x${hex}`));
      if (key === name) return BigInt(`0x${hex}`);
    }
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

/** A memory with promises, and the reactor that it needs. */
class World {
  readonly reactor: Reactor = new Reactor();
  readonly memory: RemoteMemory;
  readonly #finished: Promise<void>;
  constructor(options: RemoteMemoryOptions) {
    this.memory = new RemoteMemory(this.reactor, options);
    this.#finished = this.reactor.run();
  }
  open(target: Target, uid: Uid = ALICE): AddressSpace {
    const space = this.memory.open(target.tid, uid);
    if (space === undefined) throw new Error('the target is gone');
    return space;
  }
  read(space: AddressSpace, address: Address, length: number): Promise<Uint8Array | AccessFailure> {
    return new Promise((resolve) => this.memory.read(space, address, length, resolve));
  }
  write(space: AddressSpace, address: Address, bytes: Uint8Array): Promise<string> {
    return new Promise((resolve) => this.memory.writeBytes(space, address, bytes, resolve));
  }
  store(space: AddressSpace, address: Address, bit: number, set: boolean): Promise<string> {
    return new Promise((resolve) => this.memory.storeBit(space, address, bit, set, resolve));
  }
  /** Stores as the domain does: again, if it was late, for on a busy machine an executor may get no CPU for long. */
  async storeAtLast(space: AddressSpace, address: Address, bit: number, set: boolean): Promise<string> {
    const givenUpNs = monotonicNow() + DEADLINE_NS;
    for (;;) {
      const outcome = await this.store(space, address, bit, set);
      if (outcome !== 'late' || monotonicNow() > givenUpNs) return outcome;
    }
  }
  async end(): Promise<void> {
    this.memory.dispose();
    this.reactor.stop();
    await this.#finished;
    this.reactor.close();
  }
}

/** Runs a test with a memory and a target. */
async function inWorld(
  test: (world: World, target: Target, space: AddressSpace) => Promise<void>,
  options: RemoteMemoryOptions = {},
): Promise<void> {
  const world = new World(options);
  const target = await Target.start();
  try {
    await test(world, target, world.open(target));
  } finally {
    await target.end();
    await world.end();
  }
}

/**
 * The process ids of a server's executors, those aside that are dead and wait for its end. Nobody else's processes are
 * looked at: whoever reads of a process at its very end may have to take its memory apart, and wait for its pages.
 */
function executorsOf(pid: number): string[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' '),
  );
  return children.filter((child) => child !== '' && stateOfExecutor(child) !== undefined);
}

/** The state of an executor, or undefined when it is dead or gone. */
function stateOfExecutor(pid: string): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const state = stat.split(') ')[1]?.charAt(0);
    return stat.includes('(usertrace-mem)') && state !== 'Z' && state !== 'X' ? state : undefined;
  } catch {
    return undefined;
  }
}

/** Waits for something that comes, on however busy a machine. */
async function until(what: string, isSo: () => boolean): Promise<void> {
  const givenUpNs = monotonicNow() + DEADLINE_NS;
  while (!isSo()) {
    if (monotonicNow() > givenUpNs) throw new Error(`It took too long until ${what}`);
    await turn();
  }
}

const descriptorCount = (): number => readdirSync('/proc/self/fd').length;

describe
  .skipIf(!hasCompiler)
  .each([{ hasMappingQuery: true }, { hasMappingQuery: false }, { hasCloseRange: false }])(
  'RemoteMemory with %o',
  (options) => {
    it('storeBit() changes one bit and nothing around it', () =>
      inWorld(async (world, target, space) => {
        expect(await world.store(space, target.at('word'), 31, true)).toBe('stored');
        expect(await world.store(space, target.at('word'), 0, true)).toBe('stored');
        expect(await world.store(space, target.at('word'), 0, true)).toBe('stored');
        const set = await world.read(space, target.at('word', -8), 16);
        expect(Buffer.from(set as Uint8Array).toString('hex')).toBe('a5a5a5a5a5a5a5a501000080a5a5a5a5');
        expect(await world.store(space, target.at('word'), 31, false)).toBe('stored');
        expect(await world.store(space, target.at('word'), 0, false)).toBe('stored');
        const clear = await world.read(space, target.at('word', -8), 16);
        expect(Buffer.from(clear as Uint8Array).toString('hex')).toBe('a5a5a5a5a5a5a5a500000000a5a5a5a5');
      }, options));

    it('storeBit() keeps the order of stores to one bit', () =>
      inWorld(async (world, target, space) => {
        // On a loaded machine some may come late, which says nothing about their order: all once more then.
        let answers = new Set<string>();
        for (let tries = 0; tries < 20 && !(answers.size === 1 && answers.has('stored')); tries++) {
          const outcomes = Array.from({ length: 1001 }, (_, i) =>
            world.store(space, target.at('word'), 5, i % 2 === 0),
          );
          answers = new Set(await Promise.all(outcomes));
        }
        expect(answers).toEqual(new Set(['stored']));
        expect(await world.read(space, target.at('word'), 1)).toEqual(Uint8Array.of(32));
      }, options));

    it('writes only where the program may write', () =>
      inWorld(async (world, target, space) => {
        for (const place of ['readonly', 'none', 'unmapped'] as const) {
          expect(await world.store(space, target.at(place), 3, true)).toBe('faulted');
          expect(await world.write(space, target.at(place), new Uint8Array(4))).toBe('faulted');
        }
        expect(await world.store(space, Address(0xffff_ffff_ff60_0000n), 3, true)).toBe('faulted');
        expect(await world.write(space, target.at('two', -3), Uint8Array.of(1, 2, 3, 4))).toBe('stored');
        expect(await world.write(space, target.at('two', -2), Uint8Array.of(5, 6, 7, 8))).toBe('faulted');
        expect(await world.read(space, target.at('two', -3), 5)).toEqual(Uint8Array.of(1, 2, 3, 4, 0));
        expect(await world.read(space, target.at('readonly'), 1)).toEqual(Uint8Array.of(0));
      }, options));

    it('read() gives what there is up to the first byte that the program may not read', () =>
      inWorld(async (world, target, space) => {
        const text = await world.read(space, target.at('text'), 512);
        expect(Buffer.from(text as Uint8Array).toString()).toBe('usertrace');
        expect(await world.read(space, target.at('two', -4095), 4096)).toHaveLength(4096);
        expect(await world.read(space, target.at('none'), 1)).toBe('faulted');
        expect(await world.read(space, target.at('unmapped'), 1)).toBe('faulted');
        expect(await world.read(space, Address(0xffff_ffff_ffff_ffffn), 8)).toBe('faulted');
        expect(await world.read(space, Address(0n), 8)).toBe('faulted');
      }, options));

    it('never reaches the image that a program executes later', () =>
      inWorld(async (world, target, space) => {
        expect(world.memory.isAlive(space)).toBe(true);
        await target.exec();
        expect(world.memory.isAlive(space)).toBe(false);
        expect(await world.store(space, target.at('word'), 31, true)).toBe('gone');
        expect(await world.read(space, target.at('word'), 4)).toBe('gone');
        expect(await world.write(space, target.at('word'), new Uint8Array(4))).toBe('gone');
        const later = world.open(target);
        expect(world.memory.isAlive(later)).toBe(true);
      }, options));

    it('settles a page that userfaultfd never brings', () =>
      inWorld(async (world, target, space) => {
        if (target.at('hung') === 0n) return console.warn('skipped: no userfaultfd here');
        // Linux 6.18 answers EIO at once; a kernel may also wait.
        expect(await world.store(space, target.at('hung'), 1, true)).toMatch(/faulted|late/);
        expect(await world.storeAtLast(space, target.at('word'), 1, true)).toBe('stored');
      }, options));

    it('settles a page that does not come in time as late, and delays nobody else', () =>
      inWorld(async (world, target, space) => {
        if (target.at('stuck') === 0n)
          return console.warn('skipped: a stuck file system needs root and /dev/fuse');
        const other = await Target.start();
        others.push(other);
        const otherSpace = world.open(other);
        expect(await world.storeAtLast(otherSpace, other.at('word'), 0, true)).toBe('stored');
        await target.stopServer();
        const startedNs = monotonicNow();
        let isSettled = false;
        const stuck = Promise.all([
          world.store(space, target.at('stuck'), 1, true),
          world.storeAtLast(space, target.at('word'), 1, true),
          world.store(space, target.at('stuck'), 1, false),
        ]).finally(() => {
          isSettled = true;
        });
        expect(await world.storeAtLast(otherSpace, other.at('word'), 1, true)).toBe('stored');
        // Sooner than that none of them can be given up.
        if (monotonicNow() - startedNs < 100e6) expect(isSettled).toBe(false);
        expect(await stuck).toEqual(['late', 'stored', 'late']);
        expect(monotonicNow() - startedNs).toBeGreaterThan(200e6);
        expect(await world.storeAtLast(space, target.at('word'), 1, false)).toBe('stored');
      }, options));

    it('settles a page whose file system does not answer as late, and delays nobody else', () =>
      inWorld(async (world, target, space) => {
        if (target.at('stuck') === 0n)
          return console.warn('skipped: a stuck file system needs root and /dev/fuse');
        const other = await Target.start();
        others.push(other);
        const otherSpace = world.open(other);
        expect(await world.storeAtLast(otherSpace, other.at('word'), 0, true)).toBe('stored');
        const startedNs = monotonicNow();
        let isSettled = false;
        const stuck = Promise.all([
          world.store(space, target.at('stuck'), 1, true),
          world.store(space, target.at('stuck'), 1, false),
        ]).finally(() => {
          isSettled = true;
        });
        expect(await world.storeAtLast(otherSpace, other.at('word'), 1, true)).toBe('stored');
        // Sooner than that none of them can be given up.
        if (monotonicNow() - startedNs < 100e6) expect(isSettled).toBe(false);
        expect(await stuck).toEqual(['late', 'late']);
        expect(monotonicNow() - startedNs).toBeGreaterThan(100e6);
        expect(await world.read(space, target.at('stuck'), 1)).toBe('late');
        expect(world.memory.isAlive(space)).toBe(true);
        expect(await world.storeAtLast(otherSpace, other.at('word'), 2, true)).toBe('stored');
      }, options));
  },
);

/** Reads the stuck page through so many handles at once. */
const readStuck = (world: World, target: Target, count: number): Promise<unknown>[] =>
  Array.from({ length: count }, () => world.open(target, BOB)).map((space) =>
    world.read(space, target.at('stuck'), 1),
  );

describe.skipIf(!hasCompiler)('RemoteMemory', () => {
  it('isAlive() tells of exit, and not before the last task that shares the memory', () =>
    inWorld(async (world, target, space) => {
      expect(world.memory.isAlive(space)).toBe(true);
      await target.end();
      expect(world.memory.isAlive(space)).toBe(false);
      expect(await world.store(space, target.at('word'), 31, true)).toBe('gone');
      expect(world.memory.open(target.tid, ALICE)).toBeUndefined();
    }));

  it("storeBit() loses none of the program's own counting in the same word", () =>
    inWorld(async (world, target, space) => {
      await target.obey('c');
      for (let i = 0; i < 2000; i++) {
        expect(await world.store(space, target.at('word'), 31, i % 2 === 0)).toBe('stored');
        expect(await world.read(space, target.at('word', 3), 1)).toEqual(
          Uint8Array.of(i % 2 === 0 ? 0x80 : 0),
        );
      }
      expect(world.memory.isAlive(space)).toBe(true);
    }));

  it('never settles before the call has returned', () =>
    inWorld(async (world, target, space) => {
      let isSettled = false;
      await new Promise<void>((resolve) => {
        world.memory.storeBit(space, target.at('word'), 0, true, () => {
          isSettled = true;
          resolve();
        });
        expect(isSettled).toBe(false);
      });
    }));

  it('close() settles what has not begun as gone, and gives the descriptors back', () =>
    inWorld(async (world, target, space) => {
      const count = descriptorCount();
      const extra = world.open(target);
      expect(descriptorCount()).toBe(count + 2);
      const outcome = world.store(extra, target.at('word'), 0, true);
      world.memory.close(extra);
      expect(await outcome).toBe('gone');
      expect(descriptorCount()).toBe(count);
      expect(world.memory.isAlive(extra)).toBe(false);
      expect(await world.read(space, target.at('word'), 1)).toEqual(Uint8Array.of(0));
    }));

  it('leaves no descriptor, executor or child behind', async () => {
    const count = descriptorCount();
    for (let i = 0; i < 3; i++)
      await inWorld(async (world, target, space) => {
        await world.store(space, target.at('stuck'), 1, true);
        await world.store(space, target.at('word'), 1, true);
        world.memory.close(space);
      });
    expect(descriptorCount()).toBe(count);
    // One that waited for the stuck page dies when the kernel has noticed that its server is dead.
    await until('they are dead', () => executorsOf(process.pid).length === 0);
  });

  it.skipIf(!isBuilt)('takes the executor along when the server is killed (needs the build)', async () => {
    const target = await Target.start();
    others.push(target);
    const script = `
      import { Reactor, RemoteMemory } from ${JSON.stringify(built)};
      const reactor = new Reactor();
      const memory = new RemoteMemory(reactor);
      memory.read(memory.open(${target.tid}, 0), ${target.at('word')}n, 4, () => console.log('read'));
      await reactor.run();`;
    const server = spawn(process.execPath, ['--input-type=module', '-e', script]);
    await once(server.stdout, 'data');
    const [executor, ...more] = executorsOf(Number(server.pid));
    expect(more).toEqual([]);
    expect(readFileSync(`/proc/${executor}/status`, 'utf8')).toMatch(/^SigBlk:\tf/m);
    server.kill('SIGKILL');
    await once(server, 'exit');
    await until('it is dead', () => stateOfExecutor(String(executor)) === undefined);
  });

  it('reaches more address spaces than an executor has descriptors of', () =>
    inWorld(async (world, target) => {
      const spaces = Array.from({ length: HANDLES + 100 }, () => world.open(target));
      for (const isSet of [true, false]) {
        const outcomes = await Promise.all(
          spaces.map((space) => world.store(space, target.at('word'), 7, isSet)),
        );
        expect(new Set(outcomes)).toEqual(new Set(['stored']));
        expect(await world.read(spaces[0] as AddressSpace, target.at('word'), 1)).toEqual(
          Uint8Array.of(isSet ? 0x80 : 0),
        );
      }
      for (const space of spaces) world.memory.close(space);
    }));

  it('gives an executor nothing of ours but its eventfd, its socket and the memory that it accesses', () =>
    inWorld(async (world, target, space) => {
      expect(await world.store(space, target.at('word'), 1, true)).toBe('stored');
      const [executor, ...more] = executorsOf(process.pid);
      expect(more).toEqual([]);
      const folder = `/proc/${executor}/fd`;
      const open = readdirSync(folder).map((fd) => readlinkSync(join(folder, fd)).replace(/:\[\d+\]$/, ''));
      expect(open.toSorted()).toEqual([
        `/proc/${target.tid}/maps`,
        `/proc/${target.tid}/mem`,
        'anon_inode:[eventfd]',
        'socket',
      ]);
    }));

  describe('with a user whose pages hang again and again', () => {
    it('delays nobody of another user for each of them', () =>
      inWorld(async (world, target) => {
        if (target.at('stuck') === 0n)
          return console.warn('skipped: a stuck file system needs root and /dev/fuse');
        const other = await Target.start();
        others.push(other);
        const otherSpace = world.open(other, ALICE);
        const startedNs = monotonicNow();
        const late = readStuck(world, target, STUCK_READS);
        expect(await world.storeAtLast(otherSpace, other.at('word'), 1, true)).toBe('stored');
        const tookNs = monotonicNow() - startedNs;
        expect(new Set(await Promise.all(late))).toEqual(new Set(['late']));
        // Each of them would delay it by 5 ms and more, were they in one line.
        expect(tookNs).toBeLessThan((monotonicNow() - startedNs) / 2);
      }));

    it('holds a bounded number of executors for the user, and none for others', () =>
      inWorld(async (world, target) => {
        if (target.at('stuck') === 0n)
          return console.warn('skipped: a stuck file system needs root and /dev/fuse');
        const late = await Promise.all(readStuck(world, target, 2 * MAX_HELD_PER_USER));
        expect(new Set(late)).toEqual(new Set(['late']));
        // Those that still serve are among them.
        const count = executorsOf(process.pid).length;
        expect(count).toBeGreaterThan(MAX_HELD_PER_USER / 2);
        expect(count).toBeLessThanOrEqual(MAX_HELD_PER_USER + 3);
        const other = await Target.start();
        others.push(other);
        expect(await world.storeAtLast(world.open(other, ALICE), other.at('word'), 1, true)).toBe('stored');
        expect(await world.store(world.open(other, BOB), other.at('word'), 2, true)).toBe('late');
      }));

    it('knows the task again when its memory is opened anew, for that user', () =>
      inWorld(async (world, target) => {
        if (target.at('stuck') === 0n)
          return console.warn('skipped: a stuck file system needs root and /dev/fuse');
        await Promise.all(readStuck(world, target, 1));
        expect(world.open(target, BOB).isSuspect).toBe(true);
        expect(world.open(target, ALICE).isSuspect).toBe(false);
      }));
  });
});
