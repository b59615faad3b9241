/** The events of whole programs: switched on and off, by pattern, environment, tracer and server. */
import { ATTENTION_BYTE, PROVIDER_LOCK, PROVIDER_OFFSET } from '@usertrace/abi';
import { tryLockByte } from '@usertrace/linux';
import { closeSync, openSync, writeSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Workshop } from '../program.sim.ts';
import { COUNTING } from './counting.sim.ts';

let shop: Workshop;
beforeAll(async () => {
  shop = await new Workshop().prepare();
});
afterEach(() => shop.clear());
afterAll(() => shop.remove());

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
