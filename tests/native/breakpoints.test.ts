/**
 * Breakpoints in a real program with threads, a child and an exec: it does what it does unprobed, and each call is a hit. And the
 * kernel's own uprobe beside ours: the same definition, the same calls, the same lines.
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  ProbeTracer,
  type FetchArgument,
  type FetchedValue,
  fileIdentity,
  FileSymbols,
  type Hit,
  parseDefinition,
  type ProbeDefinition,
} from '@usertrace/uprobes';
import { openUtrace, type Utrace } from '@usertrace/utrace';
import { afterAll, describe, expect, it } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { missing } from '../support/requirements.ts';
import { canAskKernel } from './kernel-probes.ts';

const TRACEFS = '/sys/kernel/tracing';
const INSTANCE = `${TRACEFS}/instances/usertrace_breakpoints`;
const SCALE = Number(process.env['USERTRACE_SCALE'] ?? 1);
const WORDS =
  'a=%di b=%dx:s16 c=%dx:u8 s=+0(%si):string t=+0(%si):x8[3] u=+1(%si):char v=%di:b4@2/32 w=\\7:u32 x=$comm';
const DEADLINE_MS = 60_000;

const lacking = missing('root', 'cc');

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
        await tracer.add(definitionOf(program, 'a=%di s=+0(%si):string'), ({ tid, values }) => {
          const seen = numbers.get(tid) ?? [];
          numbers.set(tid, seen);
          const [number, name] = values;
          seen.push(number as bigint);
          expect(name).toBe(['one', 'two', 'three'][Number(number) % 3]);
        });
        start(tracer, program, args, output);
        await utrace.untilEmpty();
      });
      expect(readFileSync(output, 'utf8')).toBe(unprobed(program, args));
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
      await tracer.add(definitionOf(library, 'a=%di:s64'), ({ values }) => seen.push(values[0] as bigint));
      start(tracer, program, [library, String(rounds)], output);
      await utrace.untilEmpty();
    });
    expect(readFileSync(output, 'utf8')).toBe(unprobed(program, [library, String(rounds)]));
    // The constructor's call is the first.
    expect(seen).toEqual(Array.from({ length: rounds }, (_, round) => [-1n, BigInt(round)]).flat());
  }, 60_000);

  it(
    'comes and goes while threads run through it, and the output stays',
    async () => {
      const program = cProgram('tests/programs/probed.c');
      const args = ['8', String(30_000_000 * SCALE)];
      const output = path.join(folder, 'hammered');
      const rounds = 30 * SCALE;
      let hits = 0;
      let late = 0;
      await withTracer(async (tracer, utrace) => {
        const definition = definitionOf(program, 'a=%di');
        start(tracer, program, args, output);
        for (let round = 0; round < rounds && utrace.taskCount > 0; round++) {
          let isThere = true;
          const remove = await tracer.add(definition, () => {
            if (isThere) hits++;
            else late++;
          });
          await new Promise((resolve) => setTimeout(resolve, round % 5));
          await remove();
          isThere = false;
        }
        await utrace.untilEmpty();
      });
      expect(readFileSync(output, 'utf8')).toBe(unprobed(program, args));
      expect(hits).toBeGreaterThan(rounds);
      expect(late).toBe(0);
    },
    DEADLINE_MS * SCALE,
  );

  it(
    'lets a running program go unharmed',
    async () => {
      const program = cProgram('tests/programs/probed.c');
      const args = ['4', String(100_000_000)];
      const output = path.join(folder, 'left');
      // Its parent is gone: a child of Node's own could not be traced.
      const line = `"$0" ${args.join(' ')} > ${output} 2> ${output}.errors & echo $!`;
      const expected = unprobed(program, args);
      for (let round = 0; round < 3 * SCALE; round++) {
        const pid = Number(execFileSync('sh', ['-c', line, program], { encoding: 'utf8' }));
        let hits = 0;
        await withTracer(async (tracer) => {
          await tracer.attach(pid);
          await tracer.add(definitionOf(program, 'a=%di'), () => hits++);
          await expect.poll(() => hits, { timeout: 10_000 }).toBeGreaterThan(50);
        });
        await expect.poll(() => readFileSync(output, 'utf8'), { timeout: 20_000 }).toBe(expected);
      }
    },
    DEADLINE_MS * SCALE,
  );

  it.skipIf(!canAskKernel())(
    "tells what the kernel's uprobe tells, line by line",
    async () => {
      const program = cProgram('tests/programs/probed.c');
      const args = ['1', '300'];
      const definition = definitionOf(program, WORDS);
      const ours: string[] = [];
      await withTracer(async (tracer, utrace) => {
        await tracer.add(definition, (hit) => ours.push(lineOf(hit)));
        start(tracer, program, args, path.join(folder, 'kernel'));
        await utrace.untilEmpty();
      });
      expect(ours).toHaveLength(900);
      expect(ours).toEqual(kernelLines(definition, () => unprobed(program, args)));
    },
    DEADLINE_MS,
  );
});

function definitionOf(program: string, words: string): ProbeDefinition {
  const reader = { read: (file: string) => readFileSync(file) };
  const definition = parseDefinition(`p:usertrace_bp/work ${program}:probed_work ${words}`, {
    look: (file) => ({ kind: 'regular', identity: fileIdentity(file) }),
    functionOffset: (file, name) => FileSymbols.open(file, reader)?.functionOffset(name),
  });
  if (definition === undefined) throw new Error('no definition');
  return definition;
}

/** Runs work with a tracer, and fails for probes that are refused. */
async function withTracer(work: (tracer: ProbeTracer, utrace: Utrace) => Promise<void>): Promise<void> {
  const refusals: unknown[] = [];
  await using utrace = openUtrace();
  const tracer = new ProbeTracer(utrace, (reason) => refusals.push(reason));
  await work(tracer, utrace);
  await tracer.close();
  expect(refusals).toEqual([]);
}

/** Starts the program with its output in a file. */
function start(tracer: ProbeTracer, program: string, args: readonly string[], output: string): void {
  const input = openSync('/dev/null', 'r');
  const written = openSync(output, 'w');
  tracer.spawn({ command: program, args, stdio: [input, written, 2] });
  closeSync(input);
  closeSync(written);
}

function unprobed(program: string, args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8' });
}

/** What the kernel's trace says behind the time. */
function kernelLines({ path: file, offset }: ProbeDefinition, run: () => void): string[] {
  mkdirSync(INSTANCE);
  try {
    writeFileSync(
      `${TRACEFS}/uprobe_events`,
      `p:usertrace_bp/work ${file}:0x${offset.toString(16)} ${WORDS}\n`,
      {
        flag: 'a',
      },
    );
    writeFileSync(`${INSTANCE}/events/usertrace_bp/work/enable`, '1');
    run();
    writeFileSync(`${INSTANCE}/events/usertrace_bp/work/enable`, '0');
    const lines = readFileSync(`${INSTANCE}/trace`, 'latin1').split('\n');
    return lines.filter((line) => line.includes(': work: ')).map((line) => line.replace(/^.*?: work: /u, ''));
  } finally {
    rmdirSync(INSTANCE);
    writeFileSync(`${TRACEFS}/uprobe_events`, '-:usertrace_bp/work\n', { flag: 'a' });
  }
}

function lineOf({ address, definition, values }: Hit): string {
  const fields = definition.arguments.map(
    (argument, index) => `${argument.name}=${textOf(values[index], argument)}`,
  );
  return [`(0x${address.toString(16)})`, ...fields].join(' ');
}

/** As `print fmt` says. */
function textOf(value: FetchedValue, argument: FetchArgument): string {
  if (value === undefined) return '(fault)';
  if (typeof value === 'string') return `"${value}"`;
  if (typeof value === 'bigint') {
    const { conversion } = argument.type.basic;
    if (conversion === "'%c'") return `'${String.fromCharCode(Number(value))}'`;
    return conversion.startsWith('0x') ? `0x${value.toString(16)}` : String(value);
  }
  return `{${value.map((item) => textOf(item, argument)).join(',')}}`;
}
