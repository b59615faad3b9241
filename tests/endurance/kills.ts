/**
 * Tracers of a running program are killed with SIGKILL at random moments, again and again. After each death the program must run on in
 * all its threads, untraced, and answer right; now and then another tracer comes and goes, and the code must be that of the file.
 */
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { ProbeTracer } from '@usertrace/uprobes';
import { openUtrace } from '@usertrace/utrace';
import { Random } from '../fuzz/random.ts';
import { AnsweringProgram, PATIENCE_MS } from '../support/answering-program.ts';
import { Child } from '../support/child.ts';
import { isCodeUnchanged } from '../support/native-probes.ts';
import { disturbedThreads } from '../support/process-state.ts';
import { inRepository } from '../support/repository.ts';
import { delay, until } from '../support/wait.ts';
import { kindDefinition, probedLoop } from './kinds.ts';

const THREADS = '2';
/** Between a sign of a tracer and its death: one of two dies after its attaching began, the other after its probe was there first. */
const LIVES = [
  { sign: /^begin/u, lifeMsMax: 600 },
  { sign: /^ready/u, lifeMsMax: 100 },
];
/** One of so many deaths is followed by a tracer that cleans up. Others find what several dead ones have left. */
const CLEAN_ONE_IN = 2;
/** The lanes of jumps, which no program keeps. */
const LANES = 'memfd:usertrace-probes';

/** What came of it. */
export interface Kills {
  readonly kills: number;
  /** Tracers that died after their probe was there. */
  readonly probed: number;
  /** Calls that the program made and checked. */
  readonly calls: number;
}

/**
 * Kills tracers.
 *
 * @param kinds of probes, one after the other (kinds.ts)
 * @param count how many tracers
 * @param seed of the moments
 * @param mayGoOn asked before each; told how many there were
 * @throws {Error} when the program was harmed
 */
export async function killTracers(
  kinds: readonly string[],
  count: number,
  seed: number,
  mayGoOn: (kills: number) => boolean = () => true,
): Promise<Kills> {
  const random = new Random(seed);
  const program = probedLoop();
  const target = await AnsweringProgram.start(program, THREADS);
  let [kills, probed] = [0, 0];
  try {
    for (; kills < count && mayGoOn(kills); kills++) {
      const definition = kindDefinition(kinds[kills % kinds.length] as string);
      const { sign, lifeMsMax } = random.pick(LIVES);
      const lifeMs = random.below(lifeMsMax);
      const wasProbed = await killedTracer('probe-tracer.mjs', [target.pid, definition], lifeMs, sign);
      if (wasProbed) probed++;
      await mustRunOn(target);
      if (random.oneIn(CLEAN_ONE_IN)) await mustBeCleaned(program, target);
    }
    await mustBeCleaned(program, target);
    const [result = '', status] = await target.end();
    assert.match(result, /^calls [0-9]+ wrong 0$/u);
    assert.equal(status, 'status 0');
    return { kills, probed, calls: Number(result.split(' ')[1]) };
  } finally {
    await target.kill();
  }
}

/**
 * A tracer's life and death by SIGKILL.
 *
 * @param script of tests/programs
 * @param lifeMs from its sign to its death
 * @returns whether it had said that it is ready
 * @throws {Error} when it complained
 */
export async function killedTracer(
  script: string,
  args: readonly (string | number)[],
  lifeMs: number,
  sign: RegExp = /^begin/u,
): Promise<boolean> {
  const program = inRepository('tests', 'programs', script);
  const tracer = new Child(process.execPath, [program, ...args.map(String)]);
  await tracer.line(sign, PATIENCE_MS);
  await delay(lifeMs);
  await tracer.kill('SIGKILL');
  assert.equal(tracer.stderr, '');
  return tracer.lines.some((line) => line.startsWith('ready'));
}

/** Waits until no thread of a process is traced or stopped. */
export async function untilUntouched(pid: number): Promise<void> {
  await until(`process ${pid} runs untraced`, () => disturbedThreads(pid).length === 0, PATIENCE_MS);
}

/** All threads of the program run, untraced, and so does a child of it. */
export async function mustRunOn(target: AnsweringProgram): Promise<void> {
  await untilUntouched(target.pid);
  const least = async (): Promise<number> => {
    const answer = await target.ask('least');
    assert.match(answer, /^least [0-9]+$/u);
    return Number(answer.split(' ')[1]);
  };
  const calls = await least();
  await until('every thread runs on', async () => (await least()) > calls + 10, PATIENCE_MS);
  assert.equal(await target.ask('fork'), 'child 0');
}

/** A tracer comes and goes, and nothing is left of those before it. */
async function mustBeCleaned(program: string, { pid }: AnsweringProgram): Promise<void> {
  const refusals: unknown[] = [];
  await using utrace = openUtrace();
  const tracer = new ProbeTracer(utrace, (reason) => refusals.push(reason));
  await tracer.attach(pid);
  await tracer.close();
  assert.deepEqual(refusals, []);
  assert.ok(isCodeUnchanged(program, pid), 'the code is that of the file');
  assert.ok(!readFileSync(`/proc/${pid}/maps`, 'latin1').includes(LANES), 'no lanes are left');
}
