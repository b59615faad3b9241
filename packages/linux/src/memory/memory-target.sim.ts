/**
 * Running programs whose memory tests of RemoteMemory read and write: target.c, which is compiled for the file of tests that imports
 * this, and ended after each test.
 */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Address, Tid, Uid } from '@usertrace/base';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { monotonicNow } from '../clock.ts';
import { Reactor } from '../reactor/reactor.ts';
import type { AddressSpace } from './address-space.ts';
import { type AccessFailure, RemoteMemory, type RemoteMemoryOptions } from './remote-memory.ts';

export const hasCompiler: boolean = spawnSync('cc', ['--version']).status === 0;
if (!hasCompiler) console.warn('skipped: RemoteMemory against real processes needs a C compiler (cc)');

/** What a test says that needs the stuck page where there is none. */
export const NO_STUCK_PAGE = 'skipped: a stuck file system needs root and /dev/fuse';

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

export const ALICE: Uid = Uid(1000);
export const BOB: Uid = Uid(1001);
/** Less than a test's own deadline, so that it says what did not come. */
const DEADLINE_NS = 20e9;
/** What a test started beside its target. */
export const others: Target[] = [];
afterEach(async () => {
  for (const other of others.splice(0)) await other.end();
});

/** A running target.c. */
export class Target {
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

/** Does as the domain does: again what was late, for on a busy machine an executor may get no CPU for long. */
async function atLast<Outcome>(attempt: () => Promise<Outcome>): Promise<Outcome> {
  const givenUpNs = monotonicNow() + DEADLINE_NS;
  for (;;) {
    const outcome = await attempt();
    if (outcome !== 'late' || monotonicNow() > givenUpNs) return outcome;
  }
}

/** A memory with promises, and the reactor that it needs. */
export class World {
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
  /** Reads, and once more whenever it was late. */
  read(space: AddressSpace, address: Address, length: number): Promise<Uint8Array | AccessFailure> {
    return atLast(() => this.tryRead(space, address, length));
  }
  /** Writes, and once more whenever it was late. */
  write(space: AddressSpace, address: Address, bytes: Uint8Array): Promise<string> {
    return atLast(() => new Promise((resolve) => this.memory.writeBytes(space, address, bytes, resolve)));
  }
  /** Stores, and once more whenever it was late. */
  store(space: AddressSpace, address: Address, bit: number, set: boolean): Promise<string> {
    return atLast(() => this.tryStore(space, address, bit, set));
  }
  tryRead(space: AddressSpace, address: Address, length: number): Promise<Uint8Array | AccessFailure> {
    return new Promise((resolve) => this.memory.read(space, address, length, resolve));
  }
  tryStore(space: AddressSpace, address: Address, bit: number, set: boolean): Promise<string> {
    return new Promise((resolve) => this.memory.storeBit(space, address, bit, set, resolve));
  }
  async end(): Promise<void> {
    this.memory.dispose();
    this.reactor.stop();
    await this.#finished;
    this.reactor.close();
  }
}

/** Runs a test with a memory and a target. */
export async function inWorld(
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
export function executorsOf(pid: number): string[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' '),
  );
  return children.filter((child) => child !== '' && stateOfExecutor(child) !== undefined);
}

/** The state of an executor, or undefined when it is dead or gone. */
export function stateOfExecutor(pid: string): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const state = stat.split(') ')[1]?.charAt(0);
    return stat.includes('(usertrace-mem)') && state !== 'Z' && state !== 'X' ? state : undefined;
  } catch {
    return undefined;
  }
}

/** Waits for something that comes, on however busy a machine. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const givenUpNs = monotonicNow() + DEADLINE_NS;
  while (!isSo()) {
    if (monotonicNow() > givenUpNs) throw new Error(`It took too long until ${what}`);
    await turn();
  }
}
