/**
 * `usertrace watch` beside strace: how much slower programs run under each than by themselves.
 *
 * A program measures its own time, from a shell's first command to its last, so that the start of the tracer is not in it;
 * that is measured apart. All three run in turn in each round, and every quotient is of one round: the machine may be busier in
 * another. Both print calls, signals and ends, to /dev/null.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { finish } from '../tests/support/child.ts';
import { missing } from '../tests/support/requirements.ts';
import { USERTRACE } from '../tests/support/server.ts';
import { type Measurement, quotients, type Results, skippedResults } from './measurement.ts';

const RUN_TIMEOUT_MS = 300_000;
const START_ROUNDS = 5;
const ALL_GOAL = 1.5;
const RARE_GOAL = 1;
/** A call that programs make some times when they start, and not again. */
const RARE = 'openat';

const SYSTEM_CALLS = 'dd if=/dev/zero of=/dev/null bs=1 count=200000 2>/dev/null';
const FORKS = 'n=0; while [ $n -lt 400 ]; do /bin/true; n=$((n+1)); done';

interface Tracers {
  readonly strace: readonly string[];
  readonly watch: readonly string[];
}

const ALL: Tracers = {
  strace: ['strace', '-f', '-o', '/dev/null'],
  watch: [process.execPath, USERTRACE, 'watch', '-e', 'exit,signal,syscall', '--'],
};
const ONE: Tracers = {
  strace: ['strace', '--seccomp-bpf', '-f', '-e', `trace=${RARE}`, '-o', '/dev/null'],
  watch: [process.execPath, USERTRACE, 'watch', '-e', `exit,signal,syscall:${RARE}`, '--'],
};

const CASES = [
  { name: '400,000 calls, all traced', body: SYSTEM_CALLS, tracers: ALL, goal: ALL_GOAL, rounds: 3 },
  { name: '400,000 calls, a rare one traced', body: SYSTEM_CALLS, tracers: ONE, goal: RARE_GOAL, rounds: 9 },
  { name: '400 forks, all calls traced', body: FORKS, tracers: ALL, goal: ALL_GOAL, rounds: 5 },
  { name: '400 forks, a rare call traced', body: FORKS, tracers: ONE, goal: RARE_GOAL, rounds: 5 },
] as const;

/** Runs a command with its output thrown away. */
async function run(command: readonly string[]): Promise<void> {
  const redirected = ['-c', 'exec "$@" >/dev/null 2>/dev/null', 'sh', ...command];
  const { status, signal } = await finish('sh', redirected, { timeoutMs: RUN_TIMEOUT_MS });
  if (status !== 0) throw new Error(`Cannot measure ${command.join(' ')}: it ended with ${status ?? signal}`);
}

/** Nanoseconds that a script took, by its own clock. */
async function timeOf(tracer: readonly string[], body: string, folder: string): Promise<number> {
  const file = path.join(folder, 'took');
  const script = `a=$(date +%s%N); ${body}; b=$(date +%s%N); echo $((b-a)) >${file}`;
  await run([...tracer, 'sh', '-c', script]);
  return Number(readFileSync(file, 'utf8'));
}

async function measureCase(
  { name, body, tracers, goal, rounds }: (typeof CASES)[number],
  folder: string,
): Promise<Measurement[]> {
  const took: Record<'alone' | 'strace' | 'watch', number[]> = { alone: [], strace: [], watch: [] };
  const commands = { alone: [], ...tracers };
  for (let round = 0; round < rounds; round++) {
    const order = ['alone', 'strace', 'watch'] as const;
    for (const who of round % 2 === 0 ? order : order.toReversed())
      took[who].push(await timeOf(commands[who], body, folder));
  }
  return [
    { name: `${name}: untraced`, unit: 'ms', samples: took.alone.map((ns) => ns / 1e6) },
    { name: `${name}: strace to untraced`, unit: '', samples: quotients(took.strace, took.alone) },
    { name: `${name}: watch to untraced`, unit: '', samples: quotients(took.watch, took.alone) },
    {
      name: `${name}: watch to strace`,
      unit: '',
      samples: quotients(took.watch, took.strace),
      goal: { is: 'at most', value: goal },
    },
  ];
}

/** What the tracers' own start and end take. */
async function measureStart(): Promise<Measurement[]> {
  const samples: Record<'strace' | 'watch', number[]> = { strace: [], watch: [] };
  for (let round = 0; round < START_ROUNDS; round++) {
    for (const who of ['strace', 'watch'] as const) {
      const startedAt = performance.now();
      await run([...ALL[who], 'true']);
      samples[who].push(performance.now() - startedAt);
    }
  }
  return [
    { name: 'strace true', unit: 'ms', samples: samples.strace },
    { name: 'watch true', unit: 'ms', samples: samples.watch, note: 'most of it is the start of Node' },
  ];
}

/** Some minutes. */
export async function measureWatch(): Promise<Results> {
  const lacking = missing('strace');
  if (lacking !== undefined) return skippedResults('watch', lacking);
  const folder = mkdtempSync(path.join(tmpdir(), 'usertrace-bench-'));
  try {
    const measurements: Measurement[] = [];
    for (const one of CASES) {
      console.error(`bench: watch: ${one.name} ...`);
      measurements.push(...(await measureCase(one, folder)));
    }
    return { measurements: [...measurements, ...(await measureStart())], skipped: [] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
