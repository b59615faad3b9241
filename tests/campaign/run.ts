/**
 * Running a workload: by itself, under the kernel's uprobes, and under ours. A shell starts it and writes down what it printed and how it
 * ended, the same shell in all three.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  fileIdentity,
  type Hit,
  parseDefinition,
  type ProbeDefinition,
  ProbeTracer,
} from '@usertrace/uprobes';
import { openUtrace } from '@usertrace/utrace';
import { cProgram } from '../support/c-programs.ts';
import { Child } from '../support/child.ts';
import { KernelUprobes } from '../support/kernel-uprobes.ts';
import type { Place } from './places.ts';
import type { Workload } from './workload.ts';

const SCRIPT = '"$@" >"$OUT" 2>"$OUT.errors" </dev/null; echo "status $?" >>"$OUT"';

/** How often it is looked at what places have become; processes that live for less are not seen. */
const KINDS_MS = 20;
/** Of each CPU: some hundred thousand returns. */
const RETURNS_BUFFER_KIB = 16_384;
/** What timeout(1) ends with after SIGKILL. */
const TIMED_OUT = 137;

/** What a workload printed, and how it ended. */
export interface Outcome {
  readonly output: string;
  readonly errors: string;
}

/** What our probes saw. */
export interface Observed extends Outcome {
  /** Of each place: hits that were told of. */
  readonly hits: readonly number[];
  /** Of each place: hits that were lost, and counted. */
  readonly misses: readonly number[];
  /** What places were seen to be, by their index: `jump`, or why not; of a return as often as its function has `ret`s. */
  readonly kinds: ReadonlyMap<number, readonly string[]>;
  /** Why probes could not be put in. */
  readonly refusals: readonly string[];
}

interface Launch {
  readonly command: string;
  readonly args: string[];
  readonly env: Record<string, string>;
  readonly output: string;
}

function launchOf({ command, env }: Workload, folder: string): Launch {
  const output = path.join(folder, 'output');
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return {
    command: '/bin/sh',
    args: ['-c', SCRIPT, 'sh', '/usr/bin/env', ...settings, ...command],
    // Nothing of ours, so that each run has the same on its stack.
    env: {
      PATH: '/usr/bin:/bin',
      LC_ALL: 'C',
      TZ: 'UTC',
      PYTHONHASHSEED: '0',
      PERL_HASH_SEED: '0',
      OUT: output,
    },
    output,
  };
}

function outcomeOf({ output }: Launch): Outcome {
  return { output: readFileSync(output, 'latin1'), errors: readFileSync(`${output}.errors`, 'latin1') };
}

/** @returns undefined when it does not end in time */
export function runAlone(workload: Workload, folder: string, timeoutMs: number): Outcome | undefined {
  const launch = launchOf(workload, folder);
  // timeout(1) kills what the shell started, too.
  const args = ['--signal=KILL', String(timeoutMs / 1000), launch.command, ...launch.args];
  const { status, signal } = spawnSync('/usr/bin/timeout', args, { env: launch.env });
  if (status === TIMED_OUT || signal !== null) return undefined;
  if (status !== 0) throw new Error(`Cannot run ${workload.name}: it ended with ${status}`);
  return outcomeOf(launch);
}

/**
 * How often the kernel's uprobes at these places are hit.
 *
 * @returns undefined when it does not end in time
 */
export function runUnderKernel(
  workload: Workload,
  places: readonly Place[],
  folder: string,
  timeoutMs: number,
): (Outcome & { hits: number[] }) | undefined {
  using kernel = new KernelUprobes();
  for (const { offset, kind } of places) kernel.add('place', workload.file, offset, '', kind);
  kernel.enable(true);
  const outcome = runAlone(workload, folder, timeoutMs);
  kernel.enable(false);
  return outcome === undefined ? undefined : { ...outcome, hits: kernel.hits };
}

/**
 * How often functions return, by the lines of the kernel's return probes. What `runUnderKernel` tells of these are calls, of which some
 * never return.
 */
export function returnsUnderKernel(
  workload: Workload,
  places: readonly Place[],
  folder: string,
  timeoutMs: number,
): number[] {
  using kernel = new KernelUprobes(RETURNS_BUFFER_KIB);
  for (const [index, { offset, kind }] of places.entries())
    kernel.add('place', workload.file, offset, `index=\\${index}:u32`, kind);
  kernel.enable(true, true);
  if (runAlone(workload, folder, timeoutMs) === undefined)
    throw new Error(`Cannot wait longer than ${timeoutMs} ms for ${workload.name}`);
  kernel.enable(false, true);
  const returns = places.map(() => 0);
  for (const line of kernel.lines) {
    const index = Number(/ index=(\d+)$/u.exec(line)?.[1]);
    returns[index] = (returns[index] ?? 0) + 1;
  }
  return returns;
}

/** Whether the kernel refuses a probe at a place; it tells only when the file is mapped. */
export async function isRefusedByKernel(file: string, { offset, kind }: Place): Promise<boolean> {
  const program = new Child(cProgram('tests/programs/mapped-file.c'), [file]);
  try {
    await program.line(/^mapped$/u);
    using kernel = new KernelUprobes();
    kernel.add('place', file, offset, '', kind);
    try {
      kernel.enable(true);
      return false;
    } catch {
      return true;
    }
  } finally {
    await program.kill();
  }
}

/** The definition of a place. */
export function definitionOf(
  file: string,
  { offset, kind }: Place,
  name: string,
  words = '',
): ProbeDefinition {
  const text = `${kind}:campaign/${name} ${file}:0x${offset.toString(16)} ${words}`;
  const definition = parseDefinition(text, {
    look: (found) => ({ kind: 'regular', identity: fileIdentity(found) }),
  });
  if (definition === undefined) throw new Error(`Cannot make a probe of "${text}"`);
  return definition;
}

/**
 * Runs a workload under our probes at places.
 *
 * @throws {Error} when it does not end in time
 */
export async function runUnderOurs(
  workload: Workload,
  places: readonly Place[],
  folder: string,
  timeoutMs: number,
): Promise<Observed> {
  const hits = places.map(() => 0);
  const definitions = places.map((place, index) => definitionOf(workload.file, place, `f${index}`));
  const traced = await runTraced(workload, definitions, folder, timeoutMs, (index) => {
    hits[index] = (hits[index] ?? 0) + 1;
  });
  return { ...traced, hits };
}

/**
 * Runs a workload under our probes.
 *
 * @param hit told of each hit, with its definition's index
 * @throws {Error} when it does not end in time
 */
export async function runTraced(
  workload: Workload,
  definitions: readonly ProbeDefinition[],
  folder: string,
  timeoutMs: number,
  hit: (index: number, hit: Hit) => void,
): Promise<Omit<Observed, 'hits'>> {
  const launch = launchOf(workload, folder);
  const refusals: string[] = [];
  await using utrace = openUtrace();
  const tracer = new ProbeTracer(utrace, (reason) => refusals.push(String(reason)));
  for (const [index, definition] of definitions.entries())
    await tracer.add(definition, (found) => hit(index, found));
  const kinds = new Map<number, readonly string[]>();
  const stdio = ['r', 'w', 'w'].map((flags) => openSync('/dev/null', flags)) as [number, number, number];
  const group = tracer.spawn({ command: launch.command, args: launch.args, env: launch.env, stdio });
  for (const file of stdio) closeSync(file);
  const watch = setInterval(() => noteKinds(tracer, definitions, kinds), KINDS_MS);
  const late = new AbortController();
  const isLate = delay(timeoutMs, true, { signal: late.signal }).catch(() => false);
  try {
    if (await Promise.race([isLate, utrace.untilEmpty().then(() => false)])) {
      for (const { tid } of utrace.tasks) killIfThere(tid);
      killIfThere(group.tgid);
      throw new Error(`Cannot wait longer than ${timeoutMs} ms for ${workload.name}`);
    }
  } finally {
    late.abort();
    clearInterval(watch);
    await tracer.close();
  }
  const misses = definitions.map((definition) => tracer.misses(definition));
  return { ...outcomeOf(launch), misses, kinds, refusals };
}

/** Adds what the places have become in the processes of now. What has become several things is named after the last. */
function noteKinds(
  tracer: ProbeTracer,
  definitions: readonly ProbeDefinition[],
  kinds: Map<number, readonly string[]>,
): void {
  const byProcess = new Map<number, Map<number, string[]>>();
  for (const { pid, definition, kind, reason } of tracer.places()) {
    const index = definitions.indexOf(definition);
    const ofProcess = byProcess.get(pid) ?? new Map<number, string[]>();
    byProcess.set(pid, ofProcess);
    const verdict = kind === 'jump' ? kind : `${kind}: ${reason}`;
    ofProcess.set(index, [...(ofProcess.get(index) ?? []), verdict]);
  }
  for (const ofProcess of byProcess.values())
    for (const [index, verdicts] of ofProcess) kinds.set(index, verdicts);
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
