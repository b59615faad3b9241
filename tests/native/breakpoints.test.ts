/**
 * Probes in a real program with threads, a child and an exec: it does what it does unprobed, and each call is a hit. And the
 * kernel's own uprobe beside ours: the same definition, the same calls, the same lines.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ProbeDefinition } from '@usertrace/uprobes';
import { afterAll, describe, expect, it } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { KernelUprobes } from '../support/kernel-uprobes.ts';
import { definitionOf } from '../support/native-probes.ts';
import { missing } from '../support/requirements.ts';
import { lineOf, start, unprobed, withTracer } from '../system/breakpoint-fixture.ts';

const SCALE = Number(process.env['USERTRACE_SCALE'] ?? 1);
const WORDS =
  'a=%di b=%dx:s16 c=%dx:u8 s=+0(%si):string t=+0(%si):x8[3] u=+1(%si):char v=%di:b4@2/32 w=\\7:u32 x=$comm';
const DEADLINE_MS = 60_000;

const lacking = missing('root', 'cc');

/** A probe at the function that tests/programs/probed.c and probed-library.c call. */
function probeOf(program: string, words: string): ProbeDefinition {
  return definitionOf(`p:g/e ${program}:probed_work ${words}`);
}

describe.skipIf(lacking !== undefined)('ProbeTracer', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'usertrace-breakpoints-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it(
    'sees every call, in threads, a child and after an exec, and the output stays',
    async () => {
      const program = cProgram('tests/programs/probed.c');
      const calls = 150 * SCALE;
      const args = ['4', String(calls)];
      const output = path.join(folder, 'threads');
      const numbers = new Map<number, bigint[]>();
      await withTracer(async (tracer, utrace) => {
        await tracer.add(probeOf(program, 'a=%di s=+0(%si):string'), ({ tid, values }) => {
          const seen = numbers.get(tid) ?? [];
          numbers.set(tid, seen);
          const [number, name] = values;
          seen.push(number as bigint);
          expect(name).toBe(['one', 'two', 'three'][Number(number) % 3]);
        });
        start(tracer, [program, ...args], output);
        await utrace.untilEmpty();
      });
      expect(readFileSync(output, 'utf8')).toBe(unprobed([program, ...args]));
      // Four threads, one in the child, four after the exec.
      const inOrder = Array.from({ length: calls }, (_, index) => BigInt(index));
      expect([...numbers.values()]).toEqual(Array.from({ length: 9 }, () => inOrder));
    },
    DEADLINE_MS,
  );

  it('is in a library whenever that is loaded', async () => {
    const library = cProgram('tests/programs/probed-library.c', ['-shared', '-fPIC']);
    const program = cProgram('tests/programs/library-loader.c', []);
    const rounds = 20 * SCALE;
    const output = path.join(folder, 'library');
    const seen: bigint[] = [];
    await withTracer(async (tracer, utrace) => {
      await tracer.add(probeOf(library, 'a=%di:s64'), ({ values }) => seen.push(values[0] as bigint));
      start(tracer, [program, library, String(rounds)], output);
      await utrace.untilEmpty();
    });
    expect(readFileSync(output, 'utf8')).toBe(unprobed([program, library, String(rounds)]));
    // The constructor's call is the first.
    expect(seen).toEqual(Array.from({ length: rounds }, (_, round) => [-1n, BigInt(round)]).flat());
  }, 60_000);

  it(
    'lets a running program go unharmed',
    async () => {
      const program = cProgram('tests/programs/probed.c');
      const args = ['4', String(100_000_000)];
      const output = path.join(folder, 'left');
      // Its parent is gone: a child of Node's own could not be traced.
      const line = `"$0" ${args.join(' ')} > ${output} 2> ${output}.errors & echo $!`;
      const expected = unprobed([program, ...args]);
      for (let round = 0; round < 3 * SCALE; round++) {
        const pid = Number(execFileSync('sh', ['-c', line, program], { encoding: 'utf8' }));
        let hits = 0;
        await withTracer(async (tracer) => {
          await tracer.attach(pid);
          await tracer.add(probeOf(program, 'a=%di'), () => hits++);
          await expect.poll(() => hits, { timeout: 60_000 }).toBeGreaterThan(50);
        });
        await expect.poll(() => readFileSync(output, 'utf8'), { timeout: 60_000 }).toBe(expected);
      }
    },
    DEADLINE_MS * SCALE,
  );

  it.skipIf(!KernelUprobes.areThere())(
    "tells what the kernel's uprobe tells, line by line",
    async () => {
      const program = cProgram('tests/programs/probed.c');
      const args = ['1', '300'];
      const definition = probeOf(program, WORDS);
      const ours: string[] = [];
      await withTracer(async (tracer, utrace) => {
        await tracer.add(definition, (hit) => ours.push(lineOf(hit)));
        start(tracer, [program, ...args], path.join(folder, 'kernel'));
        await utrace.untilEmpty();
      });
      expect(ours).toHaveLength(900);
      using kernel = new KernelUprobes();
      kernel.add('work', program, definition.offset, WORDS);
      kernel.enable(true, true);
      unprobed([program, ...args]);
      kernel.enable(false, true);
      expect(ours).toEqual(kernel.lines.map((line) => line.slice('work: '.length)));
    },
    DEADLINE_MS,
  );
});
