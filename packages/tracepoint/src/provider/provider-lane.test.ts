/** The lane of a whole program: what it keeps, discards and counts, and whom it waits for. */
import { execFileSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readProvider, until, Workshop } from '../program.sim.ts';
import { COUNTING, expectSequence, Session } from './counting.sim.ts';

let shop: Workshop;
beforeAll(async () => {
  shop = await new Workshop().prepare();
});
afterEach(() => shop.clear());
afterAll(() => shop.remove());

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
