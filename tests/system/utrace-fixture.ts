/** Targets for engines, and what /proc says of them. */
import { type Callbacks, openUtrace, type Utrace, type UtraceOptions } from '@usertrace/utrace';
import { onTestFinished } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { Child, finish } from '../support/child.ts';
import { disturbedThreads } from '../support/process-state.ts';
import { until } from '../support/wait.ts';

export { disturbedThreads, stateOf, statusField, zombiesOf } from '../support/process-state.ts';

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

/** Callbacks that count what they are called for. */
export function counting(): { callbacks: Callbacks; counts: Record<string, number> } {
  const counts: Record<string, number> = {};
  const count = (name: string) => () => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  const names = [
    'signal',
    'clone',
    'exec',
    'exit',
    'death',
    'reap',
    'syscallEntry',
    'syscallExit',
    'jobControl',
  ];
  return { callbacks: Object.fromEntries(names.map((name) => [name, count(name)])), counts };
}

/** What another Node does to what it traces, over and over; `group` has all its engines. */
const TRACER_WORK = {
  calls: '',
  stops: 'for (;;) { await group.stop(); group.control(Action.RESUME); await new Promise(setImmediate); }',
  memory: `for (;;) {
    await group.stop();
    for (const engine of group.engines.values())
      await engine.examine((look) => look.read(look.registers().get('rsp'), 8)).catch(() => undefined);
    group.control(Action.INTERRUPT);
  }`,
  engines: `for (;;) {
    const other = utrace.attach(PID, {}, { events: Event.QUIESCE | Event.CLONE });
    await other.stop();
    await other.detach();
  }`,
} as const;

/** Kinds of work of `tracerProcess`. */
export const TRACER_KINDS = Object.keys(TRACER_WORK) as (keyof typeof TRACER_WORK)[];

/** Another Node that traces all calls of a process until it is killed, and does more to it; it says `attached`. */
export function tracerProcess(pid: number, kind: keyof typeof TRACER_WORK = 'calls'): Child {
  const work = TRACER_WORK[kind].replace('PID', String(pid));
  const script = `
    import { Action, openUtrace, Event } from '@usertrace/utrace';
    const utrace = openUtrace();
    const events = Event.SYSCALL_ENTRY | Event.SYSCALL_EXIT | Event.EXIT | Event.QUIESCE;
    const group = utrace.attach(${pid}, {}, { events, follow: true });
    console.log('attached');
    ${work}
  `;
  return new Child(process.execPath, ['--input-type=module', '-e', script]);
}
