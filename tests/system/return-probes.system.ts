/**
 * Return probes in real programs, by jump and by breakpoint: recursion, tail calls, longjmp, exceptions, backtraces, cancellation,
 * threads, forks, killed tracers. Where the running kernel has uprobes of its own, each line of ours is one of its.
 */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { EventFilter } from '@usertrace/abi';
import { filterFields, ProbeTracer } from '@usertrace/uprobes';
import { openUtrace } from '@usertrace/utrace';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { killedTracer, untilUntouched } from '../endurance/kills.ts';
import type { AnsweringProgram } from '../support/answering-program.ts';
import { BREAKPOINT_WORDS } from '../support/breakpoint-words.ts';
import { cProgram } from '../support/c-programs.ts';
import { KernelUprobes } from '../support/kernel-uprobes.ts';
import { definitionOf, isCodeUnchanged } from '../support/native-probes.ts';
import { until } from '../support/wait.ts';
import { lineOf, start, unprobed, withTracer } from './breakpoint-fixture.ts';
import { needs } from './fixture.ts';
import { startAnswering } from './killed-tracers.ts';

const WORDS = 'sp=%sp ip=%ip x=$comm value=$retval low=$retval:s8';
/** A child's number is another each time. */
const FORK_WORDS = 'sp=%sp ip=%ip x=$comm';
/** By their `ret`s; by their entry, because they end with a jump to another function. */
const BY_RET = ['recursion', 'branches', 'end', 'leaving', 'outer', 'fork'];
const BY_ENTRY = ['tail', 'tails'];

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

/** Calls that are followed at a time. */
const FRAMES_MAX = 4096;

const SCALE = Number(process.env['USERTRACE_SCALE'] ?? 1);
const KILLS = 10 * SCALE;
const CHANGES = 20 * SCALE;
/** Between a tracer's first sign and its death. */
const LIFE_MS = 600;
const LANES = 'memfd:usertrace-probes';

/** With the same addresses each time (setarch(8)). */
const fixed = (...command: readonly string[]): string[] => ['setarch', '--addr-no-randomize', ...command];

function kernelLines(definitions: readonly string[], command: readonly string[]): string[] {
  using kernel = new KernelUprobes();
  for (const text of definitions) {
    const { event, path: file, offset, kind } = definitionOf(text);
    kernel.add(event, file, offset, text.split(' ').slice(2).join(' '), kind === 'return' ? 'r' : 'p');
  }
  kernel.enable(true, true);
  unprobed(command);
  return kernel.lines;
}

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

describe('return probes', () => {
  beforeEach((context) => needs(context, 'root', 'cc'));

  const folder = mkdtempSync(path.join(tmpdir(), 'usertrace-returns-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const output = path.join(folder, 'output');

  /** A program that nobody else runs: the kernel's probes tell everybody's calls. */
  function ownCopy(source: string): string {
    const copy = path.join(folder, path.basename(source, '.c'));
    if (!existsSync(copy)) copyFileSync(cProgram(source), copy);
    return copy;
  }

  /** The lines of our hits, by thread in the order of their first. */
  async function ourLines(definitions: readonly string[], command: readonly string[]): Promise<string[][]> {
    const byThread = new Map<number, { timeNs: bigint; line: string }[]>();
    await withTracer(async (tracer, utrace) => {
      for (const text of definitions) {
        await tracer.add(definitionOf(text), (hit) => {
          const lines = byThread.get(hit.tid) ?? [];
          byThread.set(hit.tid, lines);
          lines.push({ timeNs: hit.timeNs, line: `${hit.definition.event}: ${lineOf(hit)}` });
        });
      }
      start(tracer, command, output);
      await utrace.untilEmpty();
    });
    expect(readFileSync(output, 'utf8')).toBe(unprobed(command));
    // Those of jumps are told some milliseconds after those of breakpoints.
    return [...byThread.values()].map((lines) =>
      lines.toSorted((one, other) => Number(one.timeNs - other.timeNs)).map(({ line }) => line),
    );
  }

  it.skipIf(!KernelUprobes.areThere()).each([...BY_RET, ...BY_ENTRY])(
    "probed_%s tells what the kernel's return probe tells, line by line",
    async (name) => {
      const program = ownCopy('tests/programs/returns.c');
      const command = fixed(program, name === 'fork' ? 'fork' : 'calls');
      const definitions = [`r:g/${name} ${program}:probed_${name} ${name === 'fork' ? FORK_WORDS : WORDS}`];
      const ours = (await ourLines(definitions, command)).flat();
      expect(ours.length).toBeGreaterThan(3);
      expect(ours.toSorted()).toEqual(kernelLines(definitions, command).toSorted());
      if (name !== 'fork') expect(ours).toEqual(kernelLines(definitions, command));
    },
  );

  it.skipIf(!KernelUprobes.areThere()).each(Object.keys(FORMS))(
    'form_%s tells what the kernel does, by jump and by breakpoint',
    async (name) => {
      const program = ownCopy('tests/programs/return-forms.c');
      const command = fixed(program, 'once', '9');
      const definition = `r:g/${name} ${program}:form_${name} ${ALL_WORDS}`;
      const kernel = kernelLines([definition], command);
      expect(kernel).toHaveLength(9);
      expect((await ourLines([definition], command)).flat()).toEqual(kernel);
      const stopped = (await ourLines([`${definition} ${BREAKPOINT_WORDS}`], command)).flat();
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

  it.skipIf(!KernelUprobes.areThere())(
    'those of several functions come in the order of the kernel, entries among them',
    async () => {
      const program = ownCopy('tests/programs/returns.c');
      const command = fixed(program, 'calls');
      const names = ['recursion', 'branches', 'end', 'leaving', 'outer', 'tail', 'tails'];
      const definitions = names.flatMap((name) => [
        `r:g/${name} ${program}:probed_${name} value=$retval`,
        `p:g/${name}_entry ${program}:probed_${name} a=%di`,
      ]);
      const ours = (await ourLines(definitions, command)).flat();
      expect(ours).toEqual(kernelLines(definitions, command));
    },
  );

  it('in threads see every return of each', async () => {
    const command = [cProgram('tests/programs/returns.c'), 'threads'];
    const definitions = ['recursion', 'tails'].map((name) => `r:g/${name} ${command[0]}:probed_${name}`);
    const ours = await ourLines(definitions, command);
    const counts = ours.map((lines) =>
      ['recursion', 'tails'].map((name) => lines.filter((line) => line.startsWith(`${name}:`)).length),
    );
    // probed_branches calls probed_recursion too.
    const recursions = Array.from({ length: 50 }, (_, i) => (i % 7) + 1 + (i % 3 === 1 ? (i % 4) + 1 : 0));
    const expected = [recursions.reduce((sum, each) => sum + each, 0), 50];
    expect(counts).toEqual([expected, expected, expected, expected]);
  });

  it('let exceptions pass, by whichever way they are put', async () => {
    const command = [cProgram('tests/programs/exceptions.cc', []), '30'];
    const names = ['thrower', 'middle', 'catcher'];
    const definitions = names.map((name) => `r:g/${name} ${command[0]}:probed_${name} value=$retval:s64`);
    const lines = (await ourLines(definitions, command)).flat();
    const count = (name: string): number => lines.filter((line) => line.startsWith(`${name}:`)).length;
    // Two of three calls of probed_middle throw, of which probed_catcher catches one; it calls probed_thrower once more.
    expect({ thrower: count('thrower'), middle: count('middle'), catcher: count('catcher') }).toEqual({
      thrower: 10 + 20,
      middle: 10,
      catcher: 20,
    });
  });

  it('let backtraces and cancellation pass', async () => {
    const program = cProgram('tests/programs/returns.c', []);
    const backtraced = ['frames', 'around', 'tail_frames'].map(
      (name) => `r:g/${name} ${program}:probed_${name}`,
    );
    const lines = (await ourLines(backtraced, [program, 'backtrace'])).flat();
    expect(lines.map((line) => line.replace(/:.*$/u, '')).toSorted()).toEqual([
      'around',
      'frames',
      'frames',
      'frames',
      'tail_frames',
    ]);
    expect(await ourLines([`r:g/thread ${program}:probed_thread`], [program, 'cancel'])).toEqual([]);
  });

  it('are told apart from a probe at the entry that has the same arguments', async () => {
    const command = [cProgram('tests/programs/returns.c'), 'calls'];
    const definitions = ['p:g/entry', 'r:g/return'].map((name) => `${name} ${command[0]}:probed_branches`);
    const lines = (await ourLines(definitions, command)).flat();
    const entries = lines.filter((line) => line.startsWith('entry: ') && !line.includes('<-'));
    const returns = lines.filter((line) => line.startsWith('return: ') && line.includes('<-'));
    expect(entries.length).toBeGreaterThan(3);
    expect([returns.length, lines.length]).toEqual([entries.length, 2 * entries.length]);
  });

  it.each([
    { mode: 'generated', name: 'followed', calls: 7, seen: 1, refused: 0 },
    { mode: 'system', name: 'followed', calls: 5, seen: 1, refused: 1 },
    { mode: 'deep', name: 'deep', calls: FRAMES_MAX + 20, seen: FRAMES_MAX, refused: 0 },
  ])('count as missed what they cannot follow: $mode', async ({ mode, name, calls, seen, refused }) => {
    const program = cProgram('tests/programs/missed-returns.c');
    // probed_deep(n) makes n + 1 calls.
    const command = [program, mode, String(mode === 'deep' ? calls - 1 : calls)];
    const definition = definitionOf(`r:g/e ${program}:probed_${name}`);
    const refusals: unknown[] = [];
    await using utrace = openUtrace();
    const tracer = new ProbeTracer(utrace, (reason) => refusals.push(reason));
    let hits = 0;
    const remove = await tracer.add(definition, () => hits++);
    start(tracer, command, output);
    await utrace.untilEmpty();
    expect(readFileSync(output, 'utf8')).toBe(unprobed(command));
    expect({ hits, misses: tracer.misses(definition), refused: refusals.length }).toEqual({
      hits: seen,
      misses: mode === 'deep' ? calls - seen : calls,
      refused,
    });
    await remove();
    expect(tracer.misses(definition)).toBe(0);
    await tracer.close();
  });

  it('are refused in the middle of a function', async () => {
    const program = cProgram('tests/programs/returns.c');
    await withTracer(async (tracer) => {
      await expect(
        tracer.add(definitionOf(`r:g/e ${program}:probed_outer+1`), () => undefined),
      ).rejects.toThrow(/no function begins there, probed_outer does 1 bytes before/u);
    });
  });
});
