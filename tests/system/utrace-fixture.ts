/** Targets for engines, and what /proc says of them. */
import { openUtrace, type Utrace, type UtraceOptions } from '@usertrace/utrace';
import { onTestFinished } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { Child, finish } from '../support/child.ts';
import { disturbedThreads } from '../support/process-state.ts';
import { until } from '../support/wait.ts';

export { disturbedThreads, stateOf, statusField } from '../support/process-state.ts';

/** The C program that engines are tried on. */
export function targetProgram(): string {
  return cProgram('tests/programs/utrace-target.c');
}

/** A program that this process did not start itself: Node waits for its own children and would disturb tracing. */
export class Target {
  readonly pid: number;
  readonly output: Child;

  constructor(pid: number, output: Child) {
    this.pid = pid;
    this.output = output;
  }

  /** Sends a signal; false when it is gone. */
  send(signal: NodeJS.Signals): boolean {
    try {
      return process.kill(this.pid, signal);
    } catch {
      return false;
    }
  }
}

/** Starts a command in the background of a shell; it is killed with the test. */
export async function startCommand(...command: readonly string[]): Promise<Target> {
  const inner = 'echo "pid $$"; exec "$@"';
  const outer = `sh -c '${inner}' sh "$@" & wait $!; echo "status $?"`;
  const shell = new Child('sh', ['-c', outer, 'sh', ...command]);
  const pid = Number((await shell.line(/^pid /)).slice(4));
  const target = new Target(pid, shell);
  onTestFinished(async () => {
    target.send('SIGKILL');
    await shell.kill();
  });
  return target;
}

/** Starts the C program; waits until it says that it is ready if it does that. */
export async function startTarget(...args: readonly string[]): Promise<Target> {
  const target = await startCommand(targetProgram(), ...args);
  await target.output.line(/^ready/);
  return target;
}

/** A tracer that is closed with the test. */
export function tracer(options?: UtraceOptions): Utrace {
  const utrace = openUtrace(options);
  onTestFinished(() => utrace.close());
  return utrace;
}

/** Waits until nothing of a process is traced or stopped. */
export async function untilUndisturbed(pid: number): Promise<void> {
  await until(`process ${pid} runs untraced`, () => disturbedThreads(pid).length === 0);
}

/** Sends numbered signals to a process. */
export function queueSignals(pid: number, count: number): Promise<unknown> {
  return finish(targetProgram(), ['send', String(count), String(pid)]);
}

/** The code of the error that something ends with, or `none`. */
export async function rejection(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'none';
}

/** Does something as often as that while its target lives; returns how often. */
export async function whileThere(maxRounds: number, work: () => Promise<void>): Promise<number> {
  for (let round = 0; round < maxRounds; round++) {
    try {
      await work();
    } catch (error) {
      if ((error as { code: string }).code === 'ESRCH') return round;
      throw error;
    }
  }
  return maxRounds;
}
