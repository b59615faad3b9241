/**
 * Return probes by jump at each `ret` that has room for one: in threads and children, coming and going, under signals, left behind
 * by killed tracers. Where the running kernel has uprobes of its own, each line of ours is one of its.
 */
import { readFileSync } from 'node:fs';
import { EventFilter } from '@usertrace/abi';
import { filterFields, type ProbeTracer } from '@usertrace/uprobes';
import { beforeEach, describe, expect, it } from 'vitest';
import { killedTracer, untilUntouched } from '../endurance/kills.ts';
import type { AnsweringProgram } from '../support/answering-program.ts';
import { BREAKPOINT_WORDS } from '../support/breakpoint-words.ts';
import { cProgram } from '../support/c-programs.ts';
import { KernelUprobes } from '../support/kernel-uprobes.ts';
import { definitionOf, isCodeUnchanged } from '../support/native-probes.ts';
import { until } from '../support/wait.ts';
import { withTracer } from './breakpoint-fixture.ts';
import { needs, SCALE } from './fixture.ts';
import { startAnswering } from './killed-tracers.ts';
import { fixed, kernelLines, ReturnFolder, WORDS } from './return-fixture.ts';

/** What a jump fetches. */
const ALL_WORDS = `${WORDS} bx=%bx cx=%cx r12=%r12 flags=%flags st=$stack0 above=$stack1 text=+0(%sp):x8[8]`;
/** Functions of return-forms.c, with what becomes of each `ret`. */
const FORMS: Readonly<Record<string, readonly string[]>> = {
  padded: ['jump'],
  repeated: ['jump'],
  bound: ['jump'],
  pops: ['jump'],
  relative: ['jump'],
  branch: ['jump', 'jump'],
  mixed: ['jump', 'branch-into'],
  short: ['jump'],
  tiny: ['too-short'],
  through: ['tail-call'],
  taking: ['jump'],
};

const KILLS = 10 * SCALE;
const CHANGES = 20 * SCALE;
/** Between a tracer's first sign and its death. */
const LIFE_MS = 600;
const LANES = 'memfd:usertrace-probes';

/** What the places of each event have become: `jump`, or why not, in the order of their addresses. */
function formsOf(tracer: ProbeTracer): Record<string, string[]> {
  const forms: Record<string, string[]> = {};
  for (const { definition, kind, reason } of tracer
    .places()
    .toSorted((one, other) => one.address - other.address))
    (forms[definition.event] ??= []).push(kind === 'jump' ? kind : (reason ?? ''));
  return forms;
}

/** What a program answers to the same question, asked until something is over. */
async function answersUntil(
  target: AnsweringProgram,
  question: string,
  isOver: () => boolean,
): Promise<Set<string>> {
  const answers = new Set<string>();
  do answers.add(await target.ask(question));
  while (!isOver());
  return answers;
}

describe('return probes by jump', () => {
  beforeEach((context) => needs(context, 'root', 'cc'));
  const folder = new ReturnFolder();

  it.skipIf(!KernelUprobes.areThere()).each(Object.keys(FORMS))(
    'form_%s tells what the kernel does, by jump and by breakpoint',
    async (name) => {
      const program = folder.ownCopy('tests/programs/return-forms.c');
      const command = fixed(program, 'once', '9');
      const definition = `r:g/${name} ${program}:form_${name} ${ALL_WORDS}`;
      const kernel = kernelLines([definition], command);
      expect(kernel).toHaveLength(9);
      expect((await folder.ourLines([definition], command)).flat()).toEqual(kernel);
      const stopped = (await folder.ourLines([`${definition} ${BREAKPOINT_WORDS}`], command)).flat();
      expect(stopped.map((line) => line.replace(/ only0=.*$/u, ''))).toEqual(kernel);
    },
  );

  it('are jumps where the code has room for one, and see every return in threads and children', async () => {
    const program = cProgram('tests/programs/return-forms.c');
    const target = await startAnswering(program, 'serve');
    const names = Object.keys(FORMS);
    const hits = new Map<string, Map<number, number>>(names.map((name) => [name, new Map()]));
    await withTracer(async (tracer) => {
      await tracer.attach(target.pid);
      for (const name of names)
        await tracer.add(definitionOf(`r:g/${name} ${program}:form_${name} value=$retval`), ({ tid }) =>
          hits.get(name)?.set(tid, (hits.get(name)?.get(tid) ?? 0) + 1),
        );
      expect(formsOf(tracer)).toEqual(FORMS);
      expect(await target.ask('threads 4 50')).toBe('done 0');
      expect(await target.ask('fork 50')).toBe('done 0');
    });
    for (const name of names)
      expect([name, ...(hits.get(name)?.values() ?? [])]).toEqual([name, 50, 50, 50, 50, 50]);
    expect(isCodeUnchanged(program, target.pid)).toBe(true);
    expect(await target.end()).toEqual(['status 0']);
  });

  it('and entry probes of a function that is too short for both jumps share it with a breakpoint', async () => {
    const program = cProgram('tests/programs/return-forms.c');
    const target = await startAnswering(program, 'serve');
    const counts = { entry: 0, return: 0 };
    await withTracer(async (tracer) => {
      await tracer.attach(target.pid);
      await tracer.add(definitionOf(`r:g/short ${program}:form_short`), () => counts.return++);
      expect(formsOf(tracer)).toEqual({ short: ['jump'] });
      expect(await target.ask('threads 2 20')).toBe('done 0');
      const remove = await tracer.add(definitionOf(`p:g/entry ${program}:form_short`), () => counts.entry++);
      expect(formsOf(tracer)).toEqual({ short: ['neighbour'], entry: ['jump'] });
      expect(await target.ask('threads 2 20')).toBe('done 0');
      await remove();
      expect(formsOf(tracer)).toEqual({ short: ['jump'] });
      expect(await target.ask('threads 2 20')).toBe('done 0');
    });
    expect(counts).toEqual({ entry: 40, return: 120 });
    expect(isCodeUnchanged(program, target.pid)).toBe(true);
    expect(await target.end()).toEqual(['status 0']);
  });

  it('of several definitions are one jump, and each gets its values, filtered', async () => {
    const program = cProgram('tests/programs/return-forms.c');
    const target = await startAnswering(program, 'serve');
    const [all, some] = [[] as bigint[], [] as bigint[]];
    await withTracer(async (tracer) => {
      await tracer.attach(target.pid);
      const text = `${program}:form_branch value=$retval:s64`;
      await tracer.add(definitionOf(`r:g/all ${text}`), ({ values }) => all.push(values[0] as bigint));
      const definition = definitionOf(`r:g/some ${text}`);
      const filter = EventFilter.parse('value > 20', filterFields(definition), 1);
      if (filter === undefined) throw new Error('no filter');
      await tracer.add({ ...definition, filter }, ({ values }) => some.push(values[0] as bigint));
      expect(formsOf(tracer)).toEqual({ all: ['jump', 'jump'], some: ['jump', 'jump'] });
      expect(await target.ask('threads 1 10')).toBe('done 0');
    });
    expect(all).toEqual([0n, 3n, 6n, 9n, 12n, 15n, 18n, 21n, 24n, 27n]);
    expect(some).toEqual([21n, 24n, 27n]);
    expect(await target.end()).toEqual(['status 0']);
  });

  it(
    'come and go while threads return, beside a probe at the entry',
    async () => {
      const program = cProgram('tests/programs/return-forms.c');
      const target = await startAnswering(program, 'serve');
      let late = 0;
      await withTracer(async (tracer) => {
        await tracer.attach(target.pid);
        let isOver = false;
        const answers = answersUntil(target, 'threads 8 2000', () => isOver);
        for (let round = 0; round < CHANGES; round++) {
          let isThere = true;
          const count = (): void => {
            if (!isThere) late += 1;
          };
          const names = ['short', 'pops', 'branch'];
          const removals = [];
          for (const name of names) {
            removals.push(
              await tracer.add(definitionOf(`r:g/${name} ${program}:form_${name} v=$retval`), count),
            );
            removals.push(await tracer.add(definitionOf(`p:g/${name} ${program}:form_${name} a=%di`), count));
          }
          // In another order each time, so that each is there without the other.
          for (const remove of round % 2 === 0 ? removals : removals.toReversed()) await remove();
          isThere = false;
        }
        isOver = true;
        expect(await answers).toEqual(new Set(['done 0']));
      });
      expect(late).toBe(0);
      expect(isCodeUnchanged(program, target.pid)).toBe(true);
      expect(await target.end()).toEqual(['status 0']);
    },
    300_000 * SCALE,
  );

  it(
    'go on under signals whose handlers leave the trampoline by longjmp',
    async () => {
      const program = cProgram('tests/programs/signal-storm.c');
      const target = await startAnswering(program, '4', String(100_000 * SCALE), '300');
      let count = 0;
      await withTracer(async (tracer, utrace) => {
        await tracer.attach(target.pid);
        await tracer.add(definitionOf(`r:g/e ${program}:probed_work v=$retval:s64 n=$comm`), () => count++);
        expect(formsOf(tracer)).toEqual({ e: ['jump'] });
        const result = target.ask('');
        await until('the program has ended', () => utrace.task(target.pid) === undefined, 120_000 * SCALE);
        expect(await result).toBe(`calls ${400_000 * SCALE} wrong 0`);
      });
      expect(count).toBeGreaterThan(0);
    },
    120_000 * SCALE,
  );

  it(
    'left behind by killed tracers harm nobody, and the next tracer takes them away',
    async () => {
      const program = cProgram('tests/programs/return-forms.c');
      const target = await startAnswering(program, 'serve');
      const names = Object.keys(FORMS);
      for (let round = 0; round < KILLS; round++) {
        const definition = `r:g/e ${program}:form_${names[round % names.length]} v=$retval`;
        await killedTracer('probe-tracer.mjs', [target.pid, definition], Math.random() * LIFE_MS, /^begin/u);
        await untilUntouched(target.pid);
        expect(await target.ask('threads 4 1000')).toBe('done 0');
        expect(await target.ask('fork 1000')).toBe('done 0');
      }
      await withTracer(async (tracer) => {
        await tracer.attach(target.pid);
      });
      expect(isCodeUnchanged(program, target.pid)).toBe(true);
      expect(readFileSync(`/proc/${target.pid}/maps`, 'latin1')).not.toContain(LANES);
      expect(await target.end()).toEqual(['status 0']);
    },
    600_000 * SCALE,
  );
});
