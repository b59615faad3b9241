/**
 * Return probes in real programs: recursion, tail calls, longjmp, exceptions, backtraces, cancellation, threads, forks. Where the
 * running kernel has uprobes of its own, each line of ours is one of its.
 */
import { readFileSync } from 'node:fs';
import { ProbeTracer } from '@usertrace/uprobes';
import { openUtrace } from '@usertrace/utrace';
import { beforeEach, describe, expect, it } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { KernelUprobes } from '../support/kernel-uprobes.ts';
import { definitionOf } from '../support/native-probes.ts';
import { start, unprobed, withTracer } from './breakpoint-fixture.ts';
import { needs } from './fixture.ts';
import { fixed, kernelLines, ReturnFolder, WORDS } from './return-fixture.ts';

/** A child's number is another each time. */
const FORK_WORDS = 'sp=%sp ip=%ip x=$comm';
/** By their `ret`s; by their entry, because they end with a jump to another function. */
const BY_RET = ['recursion', 'branches', 'end', 'leaving', 'outer', 'fork'];
const BY_ENTRY = ['tail', 'tails'];

/** Calls that are followed at a time. */
const FRAMES_MAX = 4096;

describe('return probes', () => {
  beforeEach((context) => needs(context, 'root', 'cc'));
  const folder = new ReturnFolder();

  it.skipIf(!KernelUprobes.areThere()).each([...BY_RET, ...BY_ENTRY])(
    "probed_%s tells what the kernel's return probe tells, line by line",
    async (name) => {
      const program = folder.ownCopy('tests/programs/returns.c');
      const command = fixed(program, name === 'fork' ? 'fork' : 'calls');
      const definitions = [`r:g/${name} ${program}:probed_${name} ${name === 'fork' ? FORK_WORDS : WORDS}`];
      const ours = (await folder.ourLines(definitions, command)).flat();
      expect(ours.length).toBeGreaterThan(3);
      expect(ours.toSorted()).toEqual(kernelLines(definitions, command).toSorted());
      if (name !== 'fork') expect(ours).toEqual(kernelLines(definitions, command));
    },
  );

  it.skipIf(!KernelUprobes.areThere())(
    'those of several functions come in the order of the kernel, entries among them',
    async () => {
      const program = folder.ownCopy('tests/programs/returns.c');
      const command = fixed(program, 'calls');
      const names = ['recursion', 'branches', 'end', 'leaving', 'outer', 'tail', 'tails'];
      const definitions = names.flatMap((name) => [
        `r:g/${name} ${program}:probed_${name} value=$retval`,
        `p:g/${name}_entry ${program}:probed_${name} a=%di`,
      ]);
      const ours = (await folder.ourLines(definitions, command)).flat();
      expect(ours).toEqual(kernelLines(definitions, command));
    },
  );

  it('in threads see every return of each', async () => {
    const command = [cProgram('tests/programs/returns.c'), 'threads'];
    const definitions = ['recursion', 'tails'].map((name) => `r:g/${name} ${command[0]}:probed_${name}`);
    const ours = await folder.ourLines(definitions, command);
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
    const lines = (await folder.ourLines(definitions, command)).flat();
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
    const lines = (await folder.ourLines(backtraced, [program, 'backtrace'])).flat();
    expect(lines.map((line) => line.replace(/:.*$/u, '')).toSorted()).toEqual([
      'around',
      'frames',
      'frames',
      'frames',
      'tail_frames',
    ]);
    expect(await folder.ourLines([`r:g/thread ${program}:probed_thread`], [program, 'cancel'])).toEqual([]);
  });

  it('are told apart from a probe at the entry that has the same arguments', async () => {
    const command = [cProgram('tests/programs/returns.c'), 'calls'];
    const definitions = ['p:g/entry', 'r:g/return'].map((name) => `${name} ${command[0]}:probed_branches`);
    const lines = (await folder.ourLines(definitions, command)).flat();
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
    start(tracer, command, folder.output);
    await utrace.untilEmpty();
    expect(readFileSync(folder.output, 'utf8')).toBe(unprobed(command));
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
