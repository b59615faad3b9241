/** Whole programs: what they leave, what others see of them, and that they run on whatever happens. */
import { chmodSync, copyFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readProvider, Workshop } from '../program.sim.ts';
import { COUNTING, expectSequence } from './counting.sim.ts';

const SCALE = Number(process.env['USERTRACE_SCALE'] ?? 1);
const SEED = Number(process.env['USERTRACE_SEED'] ?? Math.trunc(Math.random() * 0x7fff_ffff));

let shop: Workshop;
beforeAll(async () => {
  shop = await new Workshop().prepare();
});
afterEach(() => shop.clear());
afterAll(() => shop.remove());

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
