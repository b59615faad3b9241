/**
 * What breakpoints must never do to a program: kill it, keep it from its signals, or stay in it. Tracers are killed with SIGKILL
 * here, again and again, and the program runs on; the next one takes away what is left.
 */
import { readFileSync } from 'node:fs';
import { ElfFile, fileOffsetOf } from '@usertrace/abi';
import type { Hit } from '@usertrace/uprobes';
import { beforeEach, describe, expect, it } from 'vitest';
import { BREAKPOINT_WORDS } from '../support/breakpoint-words.ts';
import { killedTracer, untilUntouched } from '../endurance/kills.ts';
import { type AnsweringProgram, PATIENCE_MS } from '../support/answering-program.ts';
import { cProgram } from '../support/c-programs.ts';
import { KernelUprobes } from '../support/kernel-uprobes.ts';
import { until } from '../support/wait.ts';
import { definitionOf } from '../support/native-probes.ts';
import { withTracer } from './breakpoint-fixture.ts';
import { needs } from './fixture.ts';
import { startAnswering } from './killed-tracers.ts';

const TRACER = 'probe-tracer.mjs';
/** Between a tracer's first sign and its death. */
const LIFE_MS = 120;

/** The program that has something of its own to do with SIGILL. */
function illegal(): string {
  return cProgram('tests/programs/illegal.c');
}

describe('breakpoints', () => {
  beforeEach((context) => needs(context, 'root', 'cc'));

  it.each([
    ['default', 'action: default', 'status 132'],
    ['ignore', 'handled 0 0', 'status 132'],
    ['handle', 'handled 1 3', 'handled 2 3'],
  ])('leave SIGILL to a program whose disposition is %s', async (disposition, killed, trapped) => {
    const program = illegal();
    const target = await startAnswering(program, disposition);
    await killedTracer(
      TRACER,
      [target.pid, `p:g/e ${program}:probed_work ${BREAKPOINT_WORDS}`],
      5,
      /^ready/u,
    );
    await untilUntouched(target.pid);
    expect(await target.ask('call')).toBe('called 0');
    expect(await target.ask('action')).toBe('other');
    if (disposition !== 'default') expect(await target.ask('kill')).toBe(killed);
    expect(await target.ask('illegal')).toBe(trapped);
  });

  it.each(['default', 'ignore', 'handle'])(
    'give SIGILL back to a program that had it: %s',
    async (disposition) => {
      const program = illegal();
      const target = await startAnswering(program, disposition);
      let hits = 0;
      await withTracer(async (tracer) => {
        await tracer.attach(target.pid);
        await tracer.add(definitionOf(`p:g/e ${program}:probed_work ${BREAKPOINT_WORDS}`), () => (hits += 1));
        expect(await target.ask('call')).toBe('called 0');
        if (disposition === 'handle') expect(await target.ask('illegal')).toBe('handled 1 3');
      });
      expect(hits).toBe(100);
      expect(await target.ask('action')).toBe(disposition);
    },
  );

  it('survive in a program that blocks SIGILL', async () => {
    const program = illegal();
    const target = await startAnswering(program, 'block');
    const definition = `p:g/e ${program}:probed_work ${BREAKPOINT_WORDS}`;
    let hits = 0;
    await withTracer(async (tracer) => {
      await tracer.attach(target.pid);
      await tracer.add(definitionOf(definition), () => (hits += 1));
      expect(await target.ask('call')).toBe('called 0');
    });
    expect(hits).toBe(100);
    expect(await target.ask('call')).toBe('called 0');
    const life = killedTracer(TRACER, [target.pid, definition], LIFE_MS, /^ready/u);
    const hasEnded = life.then(() => 'ended');
    for (let answer = ''; answer !== 'ended'; answer = await Promise.race([hasEnded, Promise.resolve('')]))
      expect(await target.ask('call')).toBe('called 0');
    await life;
    expect(await target.ask('call')).toBe('called 0');
  });

  it('come to code that a program maps itself', async () => {
    const program = illegal();
    const library = cProgram('tests/programs/probed-library.c', ['-shared', '-fPIC']);
    const target = await startAnswering(program, 'default');
    const values: unknown[] = [];
    await withTracer(async (tracer) => {
      await tracer.attach(target.pid);
      const definition = definitionOf(`p:g/e ${library}:probed_work a=%di`);
      await tracer.add(definition, (hit: Hit) => values.push(hit.values[0]));
      const size = readFileSync(library).length;
      const mapped = target.ask(`map ${library} ${definition.offset} ${size}`);
      await until('its calls are seen', () => values.length > 3, PATIENCE_MS);
      // Any line ends it.
      expect(await target.ask('counter')).toBe('counter 0');
      expect(await mapped).toBe('mapped');
    });
    expect(new Set(values)).toEqual(new Set([5n]));
  });
});

/** A definition with the program's counter. */
function place(target: AnsweringProgram): { counted: string; counter: bigint } {
  const program = illegal();
  const file = new ElfFile(readFileSync(program));
  const counter = fileOffsetOf(file, BigInt(target.words)) ?? 0n;
  const { offset } = definitionOf(`p:g/e ${program}:probed_work`);
  return { counted: `p:g/e ${program}:${offset}(${counter})`, counter };
}

describe('counters of static probes', () => {
  beforeEach((context) => needs(context, 'root', 'cc'));

  it('are raised once for each probe, in children too, and lowered again', async () => {
    const target = await startAnswering(illegal(), 'default');
    const { counted } = place(target);
    const other = counted.replace('g/e', 'g/other');
    expect(await target.ask('counter')).toBe('counter 0');
    await withTracer(async (tracer) => {
      await tracer.attach(target.pid);
      const remove = await tracer.add(definitionOf(counted), () => undefined);
      expect(await target.ask('counter')).toBe('counter 1');
      const removeOther = await tracer.add(definitionOf(other), () => undefined);
      expect(await target.ask('counter')).toBe('counter 1');
      expect(await target.ask('fork')).toBe('child 0 1');
      await remove();
      expect(await target.ask('counter')).toBe('counter 1');
      await removeOther();
      expect(await target.ask('counter')).toBe('counter 0');
      await tracer.add(definitionOf(counted.replace(/^p:g\/e/u, 'r:g/e')), () => undefined);
      expect(await target.ask('counter')).toBe('counter 1');
    });
    expect(await target.ask('counter')).toBe('counter 0');
  });

  it('that a killed tracer raised are lowered by the next one', async () => {
    const target = await startAnswering(illegal(), 'default');
    const { counted } = place(target);
    await killedTracer(TRACER, [target.pid, counted], 0, /^ready/u);
    await untilUntouched(target.pid);
    // It takes its probe away from time to time.
    const left = await target.ask('counter');
    expect(left).toMatch(/^counter [01]$/u);
    await withTracer(async (tracer) => {
      await tracer.attach(target.pid);
      await tracer.add(definitionOf(counted), () => undefined);
      expect(await target.ask('counter')).toBe('counter 1');
    });
    expect(await target.ask('counter')).toBe('counter 0');
  });

  it.skipIf(!KernelUprobes.areThere())("count beside the kernel's own", async () => {
    const target = await startAnswering(illegal(), 'default');
    const { counted, counter } = place(target);
    using kernel = new KernelUprobes();
    const { offset } = definitionOf(counted);
    kernel.add('counted', illegal(), offset, '', 'p', counter);
    kernel.enable(true);
    expect(await target.ask('counter')).toBe('counter 1');
    await withTracer(async (tracer) => {
      await tracer.attach(target.pid);
      // Where the kernel's breakpoint is none of ours can be: the second instruction, with the same counter.
      const second = counted.replace(`:${offset}(`, `:${offset + 7n}(`);
      await tracer.add(definitionOf(second), () => undefined);
      expect(await target.ask('counter')).toBe('counter 2');
    });
    expect(await target.ask('counter')).toBe('counter 1');
    kernel.enable(false);
    expect(await target.ask('counter')).toBe('counter 0');
  });
});
