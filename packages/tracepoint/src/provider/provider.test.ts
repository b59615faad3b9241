/** Whole programs: what they leave, what others see of them, and that they run on whatever happens. */
import {
  ATTENTION_BYTE,
  LANE_MODE,
  PROVIDER_LOCK,
  PROVIDER_OFFSET,
  SESSION,
  SESSION_SLOT_SIZE,
  SESSION_STATE,
} from '@usertrace/abi';
import { tryLockByte } from '@usertrace/linux';
import { execFileSync } from 'node:child_process';
import { chmodSync, closeSync, copyFileSync, openSync, readFileSync, writeSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ProviderContent, readProvider, until, Workshop } from '../program.sim.ts';

const SCALE = Number(process.env['USERTRACE_SCALE'] ?? 1);
const SEED = Number(process.env['USERTRACE_SEED'] ?? Math.trunc(Math.random() * 0x7fff_ffff));

let shop: Workshop;
beforeAll(async () => {
  shop = await new Workshop().prepare();
});
afterEach(() => shop.clear());
afterAll(() => shop.remove());

/** Numbers in a row, from whichever to whichever. */
function expectSequence({ events }: ProviderContent): { first: number; last: number } {
  const numbers = events.map(({ values }) => Number(values[0]));
  const first = numbers[0] ?? 0;
  expect(numbers).toEqual(numbers.map((_, index) => first + index));
  for (const { values } of events) expect(values[1]).toBe(`event number ${values[0]}`);
  return { first, last: numbers.at(-1) ?? -1 };
}

const COUNTING = `
const counted = ut.tracepoint('counted', { number: ut.u32, text: ut.str });
const count = (from, to) => { for (let i = from; i < to; i++) counted(i, 'event number ' + i); };
`;

/** A tracer's session in a slot of a provider file, with its lock. The caller closes it, which is how a tracer dies. */
class Session {
  readonly #fd: number;
  readonly #start: number;

  constructor(path: string, slot: number, mode: keyof typeof LANE_MODE) {
    this.#fd = openSync(path, 'r+');
    this.#start = PROVIDER_OFFSET.sessions + slot * SESSION_SLOT_SIZE;
    expect(tryLockByte(this.#fd, PROVIDER_LOCK.firstSession + slot)).toBe(true);
    this.#store(SESSION.mode, LANE_MODE[mode]);
    this.setUnreadPage(0);
    writeSync(this.#fd, Buffer.from([0xff]), 0, 1, this.#start + SESSION.wanted);
    this.#store(SESSION.state, SESSION_STATE.active);
  }

  setWord(index: number, count: number): void {
    writeSync(this.#fd, Buffer.from([count]), 0, 1, PROVIDER_OFFSET.words + index * 4);
  }

  setUnreadPage(page: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(page);
    writeSync(this.#fd, bytes, 0, 8, this.#start + SESSION.unreadPage);
  }

  isActive(): boolean {
    return readFileSync(`/proc/self/fd/${this.#fd}`).readUInt32LE(this.#start + SESSION.state) === 1;
  }

  end(): void {
    closeSync(this.#fd);
  }

  #store(field: number, value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    writeSync(this.#fd, bytes, 0, 4, this.#start + field);
  }
}

describe('a program that ends', () => {
  it('leaves nothing when it ended in good order', () => {
    const { stdout } = shop.run(
      'ends.mjs',
      `${COUNTING} ut.enable('*'); count(0, 10); console.log(counted.enabled);`,
    );
    expect(stdout).toBe('true\n');
    expect(shop.providers()).toEqual([]);
  });

  it('leaves its events when it fails, or is killed', () => {
    shop.run('fails.mjs', `${COUNTING} ut.enable('*'); count(0, 10); process.exit(3);`);
    expect(expectSequence(shop.provider())).toEqual({ first: 0, last: 9 });
    expect(shop.provider().events[0]?.tid).toBe(shop.provider().pid);
  });

  it('leaves nothing when nobody wanted its events', () => {
    shop.run('fails.mjs', `${COUNTING} count(0, 10); process.exit(3);`);
    expect(shop.providers()).toEqual([]);
  });

  it('is not kept alive by its tracepoints', () => {
    const { status, stdout } = shop.run(
      'idle.mjs',
      `${COUNTING} process.on('exit', () => console.log(String(process.getActiveResourcesInfo())));`,
    );
    expect(status).toBe(0);
    // A pipe that is a standard stream keeps nothing alive.
    expect(stdout).toMatch(/^(PipeWrap)?\n$/);
  });
});

describe('a program that is killed', () => {
  it(
    `leaves all events up to some, and none in part (USERTRACE_SEED=${SEED})`,
    async () => {
      let seed = SEED;
      let seen = 0;
      for (let round = 0; round < 50 * SCALE; round++) {
        const program = shop.start(
          'killed.mjs',
          `${COUNTING} ut.configure({ laneBytes: 2 ** 18 }); ut.enable('*'); console.log('runs'); for (let i = 0; ; i += 100) count(i, i + 100);`,
        );
        await program.printed('runs');
        seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
        // Not a wait for something: the moment of death is what is random.
        await new Promise((resolve) => setTimeout(resolve, seed % 40));
        await program.kill();
        const content = shop.provider();
        const { first, last } = expectSequence(content);
        expect(content.overwritten).toBe(first);
        seen += last + 1;
        shop.clear();
      }
      expect(seen).toBeGreaterThan(0);
    },
    60_000 + SCALE * 50_000,
  );
});

describe('the lane', () => {
  it('keeps the last events, and counts those that it has overwritten', () => {
    shop.run(
      'overwrites.mjs',
      `${COUNTING} ut.configure({ laneBytes: 65536 + 28672 }); ut.enable('*'); count(0, 5000); process.exit(1);`,
    );
    const content = shop.provider();
    const { first, last } = expectSequence(content);
    expect(last).toBe(4999);
    expect(first).toBeGreaterThan(3000);
    expect(content).toMatchObject({ overwritten: first, discarded: 0 });
  });

  it('counts what it discards while a tracer has not read, and goes on when it has', async () => {
    const program = shop.start(
      'discards.mjs',
      `${COUNTING} ut.configure({ laneBytes: 65536 + 28672 });
process.stdin.on('data', (line) => { const [from, to] = String(line).split(' ').map(Number); count(from, to); console.log('done ' + to); });
console.log('ready');`,
    );
    await program.printed('ready');
    const [path] = shop.providers() as [string];
    const session = new Session(path, 2, 'discard');
    session.setWord(0, 1);
    program.say('0 5000');
    await program.printed('done 5000');
    const full = readProvider(path);
    const { last } = expectSequence(full);
    expect(full.overwritten).toBe(0);
    expect(full.discarded).toBe(5000 - (last + 1));
    session.setUnreadPage(4);
    program.say('5000 5010');
    await program.printed('done 5010');
    const after = readProvider(path);
    expect(after.discarded).toBe(full.discarded);
    expect(after.events.slice(-10).map(({ values }) => values[0])).toEqual(
      Array.from({ length: 10 }, (_, index) => 5000 + index),
    );
    session.end();
    await program.kill();
  });

  it('is freed of a tracer that died, whose events go off', async () => {
    const program = shop.start(
      'outlives.mjs',
      `${COUNTING} let i = 0; setInterval(() => { if (counted.enabled) { count(i, i + 1); i++; } }, 20); console.log('ready');`,
    );
    await program.printed('ready');
    const [path] = shop.providers() as [string];
    const session = new Session(path, 0, 'discard');
    session.setWord(0, 1);
    await until(
      () => readProvider(path).events.length > 0,
      () => 'an event',
    );
    expect(readProvider(path).words).toEqual([1]);
    session.end();
    await until(
      () => readProvider(path).words[0] === 0,
      () => 'the word to be off',
    );
    await program.kill();
  });

  // Needs a small file system of its own, which root mounts.
  it.runIf(process.getuid?.() === 0)(
    'stays away where there is no memory for it, and the program says so',
    () => {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k,mode=0700', 'tmpfs', shop.runtime]);
      try {
        const { stdout } = shop.run(
          'full.mjs',
          `${COUNTING} ut.enable('*'); console.log(counted.enabled); count(0, 10);
console.log(counted.enabled, ut.unavailable());`,
        );
        expect(stdout).toMatch(/^true\nfalse Cannot reserve \d+ bytes of shared memory \(ENOSPC\)/);
      } finally {
        execFileSync('umount', ['-l', shop.runtime]);
      }
    },
  );
});

describe('events', () => {
  it('that are declared while a tracer changes sessions are on at once where a session means them', async () => {
    const program = shop.start(
      'declares.mjs',
      `ut.enable('http_*'); ut.tracepoint('http_request');
process.stdin.on('data', () => {
  console.log('declared', ut.tracepoint('http_answer').enabled, ut.tracepoint('db_query').enabled);
});
console.log('ready');`,
    );
    await program.printed('ready');
    const [path] = shop.providers() as [string];
    const fd = openSync(path, 'r+');
    expect(tryLockByte(fd, PROVIDER_LOCK.control)).toBe(true);
    program.say('go');
    await program.printed('declared true false');
    closeSync(fd);
    await program.kill();
  });

  it('are switched on and off by pattern, those to come as well', () => {
    const { stdout } = shop.run(
      'patterns.mjs',
      `const a = ut.tracepoint('http_request'); const b = ut.tracepoint('db_query');
ut.enable('http_*'); const c = ut.tracepoint('http_answer');
console.log(a.enabled, b.enabled, c.enabled, c.name, c.emit === c);
ut.disable('http_a*'); console.log(a.enabled, b.enabled, c.enabled);
ut.disable('*'); console.log(a.enabled, b.enabled, c.enabled);`,
    );
    expect(stdout).toBe('true false true http_answer true\ntrue false false\nfalse false false\n');
  });

  it('are on from the start when the environment says so', () => {
    const program = `const a = ut.tracepoint('http_request', { n: ut.u32 }); const b = ut.tracepoint('db_query');
a(1); a(2); console.log(a.enabled, b.enabled); process.exit(1);`;
    const { stdout } = shop.run('recorder.mjs', program, { environment: { USERTRACE_ENABLE: 'http_*, x' } });
    expect(stdout).toBe('true false\n');
    expect(shop.provider().events.map(({ values }) => values)).toEqual([[1], [2]]);
  });

  it('are seen by a loop that does nothing but look', async () => {
    const program = shop.start(
      'spins.mjs',
      `${COUNTING} console.log('spins'); while (!counted.enabled) {} console.log('seen');`,
    );
    await program.printed('spins');
    const [path] = shop.providers() as [string];
    // Until the loop is compiled for good, with all that it may take out of the loop.
    await new Promise((resolve) => setTimeout(resolve, 300));
    const fd = openSync(path, 'r+');
    writeSync(fd, Buffer.from([1]), 0, 1, PROVIDER_OFFSET.words);
    closeSync(fd);
    await program.printed('seen');
    await program.kill();
  });

  it('have one declaration a name', () => {
    const { stdout } = shop.run(
      'twice.mjs',
      `const a = ut.tracepoint('a', { n: ut.u64 });
console.log(ut.tracepoint('a', [['n', ut.u64]]) === a);
for (const fields of [{ n: ut.u32 }, { n: ut.f64 }, {}]) try { ut.tracepoint('a', fields); } catch (error) { console.log(error.message); }`,
    );
    const refusal = 'Cannot declare tracepoint "a": this thread has one of that name with other fields\n';
    expect(stdout).toBe(`true\n${refusal.repeat(3)}`);
  });

  it('beyond what a provider holds are never on, and the program says why', () => {
    const { stdout } = shop.run(
      'many.mjs',
      `ut.enable('*'); let on = 0; for (let i = 0; i < 2050; i++) on += Number(ut.tracepoint('event_' + i).enabled);
console.log(on, ut.unavailable());`,
    );
    expect(stdout).toMatch(/^2048 a thread records 2048 events/);
  });

  it('answer a server that asks for attention, once', () => {
    const { stdout } = shop.run(
      'attention.mjs',
      `import { openSync, readdirSync, readSync, writeSync } from 'node:fs';
${COUNTING} const other = ut.tracepoint('other');
const fd = openSync(process.env.USERTRACE_RUNTIME_DIR + '/' + readdirSync(process.env.USERTRACE_RUNTIME_DIR)[0], 'r+');
for (const word of [0, 4]) writeSync(fd, Buffer.from([1]), 0, 1, ${PROVIDER_OFFSET.words + ATTENTION_BYTE} + word);
console.log(counted.enabled, other.enabled); count(0, 1); console.log(counted.enabled, other.enabled);`,
    );
    expect(stdout).toBe('true true\nfalse false\n');
  });
});

describe('threads and processes', () => {
  it('have a provider each, and one that ends leaves no memory behind', () => {
    const { stdout, stderr } = shop.run(
      'workers.mjs',
      `import { Worker, isMainThread } from 'node:worker_threads';
import { readFileSync, readdirSync } from 'node:fs';
${COUNTING}
const files = () => readdirSync(process.env.USERTRACE_RUNTIME_DIR).length;
if (isMainThread) {
  ut.enable('*'); count(0, 3);
  for (let i = 0; i < 12; i++) {
    await new Promise((resolve) => {
      const worker = new Worker(new URL(import.meta.url));
      // Some are terminated in the middle of their work.
      worker.on('message', () => { if (i % 3 === 0) void worker.terminate(); else worker.postMessage('end'); });
      worker.on('exit', resolve);
    });
  }
  const mappings = readFileSync('/proc/self/maps', 'utf8').split('\\n').filter((line) => line.includes(process.env.USERTRACE_RUNTIME_DIR));
  console.log(mappings.length <= 4, files());
} else {
  const { parentPort } = await import('node:worker_threads');
  ut.enable('*'); count(0, 3);
  parentPort.once('message', () => process.exit(0));
  parentPort.postMessage(files());
}`,
    );
    // Terminated workers' events stay until the program ends; the last worker's file until somebody looks.
    expect(stderr).toBe('');
    expect(stdout).toBe('true 6\n');
    expect(shop.providers()).toEqual([]);
  });

  it('keep the files of 64 that were killed, the last ones', async () => {
    const killed = `${COUNTING} ut.enable('*'); count(0, 1); process.kill(process.pid, 'SIGKILL');`;
    for (let round = 0; round < 3; round++) shop.run('killed.mjs', killed);
    const [oldest, older, last] = shop.providers() as [string, string, string];
    // As many more as there may be, made of one of them: nobody holds their locks either.
    for (let copy = 0; copy < 62; copy++)
      copyFileSync(last, last.replace(/[^-]*$/, `${'f'.repeat(14)}${copy + 10}`));
    shop.run('sweeps.mjs', `${COUNTING} process.kill(process.pid, 'SIGKILL');`);
    const left = shop.providers();
    expect(left).toHaveLength(64);
    expect(left).not.toContain(oldest);
    expect(left).not.toContain(older);
    expect(left).toContain(last);
  });

  it('of child_process and cluster are programs of their own', () => {
    const { stdout, stderr } = shop.run(
      'forks.mjs',
      `import cluster from 'node:cluster'; import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
${COUNTING} ut.enable('*'); count(0, 5);
if (cluster.isPrimary && process.argv[2] === undefined) {
  fork(fileURLToPath(import.meta.url), ['child']).on('exit', (code) => { console.log('fork', code); cluster.fork().on('exit', (status) => console.log('cluster', status)); });
} else process.exit(7);`,
    );
    expect(stderr).toBe('');
    expect(stdout).toBe('fork 7\ncluster 7\n');
    const left = shop.providers().map(readProvider);
    expect(left).toHaveLength(2);
    for (const content of left) expect(expectSequence(content).last).toBe(4);
  });

  it('share one provider between copies of the package, by import and by require', () => {
    const { stdout } = shop.run(
      'copies.cjs',
      `const first = require('${shop.folder}/tracepoint.cjs');
const a = first.tracepoint('a', { s: first.str }); first.enable('a'); a('required');
import('${shop.folder}/tracepoint.mjs').then((second) => {
  console.log(second.tracepoint('a', { s: second.str }) === a); a('imported'); process.exit(1);
});`,
    );
    expect(stdout).toBe('true\n');
    expect(shop.provider().events.map(({ values }) => values)).toEqual([['required'], ['imported']]);
  });
});

describe('where something is missing', () => {
  it('a program without code from strings records all the same', () => {
    const { stdout, stderr } = shop.run(
      'strict.mjs',
      `${COUNTING} console.log(counted.enabled, counted.name); ut.enable('*'); count(0, 100); console.log(counted.enabled); process.exit(1);`,
      { flags: ['--disallow-code-generation-from-strings'] },
    );
    expect({ stdout, stderr }).toEqual({ stdout: 'false counted\ntrue\n', stderr: '' });
    expect(expectSequence(shop.provider())).toEqual({ first: 0, last: 99 });
  });

  it.each([
    ['another system', `Object.defineProperty(process, 'platform', { value: 'darwin' });`, /needs Linux/],
    ['no koffi', `process.dlopen = () => { throw new Error('no add-ons'); };`, /koffi/],
    ['no folder', `process.env.USERTRACE_RUNTIME_DIR = '/nowhere/at/all';`, /cannot make \/nowhere/],
  ])('a program runs on: %s', (_, before, reason) => {
    const { status, stdout, stderr } = shop.run(
      'without.mjs',
      `${before} ${COUNTING} ut.enable('*'); count(0, 3); console.log(counted.enabled, ut.unavailable());`,
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^false /);
    expect(stdout).toMatch(reason);
  });

  it('a folder that others may enter is not used', () => {
    chmodSync(shop.runtime, 0o755);
    const { stdout } = shop.run('open.mjs', `${COUNTING} console.log(counted.enabled, ut.unavailable());`);
    expect(stdout).toMatch(/^false .*lets others in; make it 0700/);
    expect(shop.providers()).toEqual([]);
  });

  it('a bad setting is refused', () => {
    const { stdout } = shop.run(
      'settings.mjs',
      `for (const laneBytes of [0, NaN, 2 ** 31]) try { ut.configure({ laneBytes }); } catch (error) { console.log(error.name); }`,
    );
    expect(stdout).toBe('RangeError\n'.repeat(3));
  });
});
