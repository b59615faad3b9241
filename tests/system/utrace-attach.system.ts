/** `attach` to processes that run, are stopped, make threads, or belong to another tracer; by pid and by pidfd. */
import { readFileSync, readdirSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { closeDescriptor, libc } from '@usertrace/linux';
import { Event } from '@usertrace/utrace';
import { describe, expect, test } from 'vitest';
import { Child } from '../support/child.ts';
import { delay, until } from '../support/wait.ts';
import { SCALE, needs } from './fixture.ts';
import {
  counting,
  disturbedThreads,
  rejection,
  startCommand,
  startTarget,
  stateOf,
  statusField,
  targetProgram,
  tracer,
  type Target,
  tracerProcess,
  untilUndisturbed,
  whileThere,
} from './utrace-fixture.ts';

const SYSCALLS = Event.SYSCALL_ENTRY | Event.SYSCALL_EXIT;
const PIDFD_OPEN = 434;

/** How many lines a stopped target has printed, those included that still waited in the pipe. */
async function lineCount({ output }: Target): Promise<number> {
  let former: number;
  do {
    former = output.lines.length;
    await nextTurn();
    await nextTurn();
  } while (output.lines.length > former);
  return former;
}

describe('attach()', () => {
  test('to a stopped process leaves it stopped until SIGCONT', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('count');
    target.send('SIGSTOP');
    await until('it is stopped', () => stateOf(target.pid) === 'T');
    const before = await lineCount(target);
    const utrace = tracer();
    const stopped: boolean[] = [];
    const group = utrace.attach(
      target.pid,
      { jobControl: (_, isStopped) => void stopped.push(isStopped) },
      { events: Event.JOB_CONTROL | Event.SIGNAL },
    );
    await until('the group stop is reported', () => stopped.length > 0);
    await delay(30);
    expect(await lineCount(target)).toBe(before);
    target.send('SIGCONT');
    await until('it goes on', () => target.output.lines.length > before + 10);
    expect(stopped).toEqual([true, false]);
    await group.detach();
    await untilUndisturbed(target.pid);
  });

  test('and detach from a stopped process leave it stopped, and SIGCONT still wakes it', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('count');
    const utrace = tracer();
    const group = utrace.attach(target.pid, {}, { events: SYSCALLS });
    target.send('SIGSTOP');
    await until('it is stopped', () => 'tT'.includes(stateOf(target.pid) ?? ''));
    await group.detach();
    await until(
      'it is untraced and stopped',
      () => stateOf(target.pid) === 'T' && statusField(target.pid, 'TracerPid') === '0',
    );
    const before = target.output.lines.length;
    target.send('SIGCONT');
    await until('it goes on', () => target.output.lines.length > before + 5);
  });

  test('loses no signal that arrives at the same time', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('usr1');
    const utrace = tracer();
    for (let round = 0; round < 20 * SCALE; round++) {
      if (round % 2 === 0) target.send('SIGUSR1');
      const group = utrace.attach(target.pid, {}, { events: SYSCALLS | Event.SIGNAL });
      if (round % 2 === 1) target.send('SIGUSR1');
      await target.output.line(/^usr1/);
      await group.detach();
    }
    await untilUndisturbed(target.pid);
    expect(target.output.lines.filter((line) => line === 'usr1')).toHaveLength(20 * SCALE);
  });

  test('invents no SIGSTOP and interrupts no sleep', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('sleep-once', '1500');
    const utrace = tracer();
    const signals: number[] = [];
    const rounds = await whileThere(20, async () => {
      const group = utrace.attach(
        target.pid,
        { signal: (_, { signal }) => void signals.push(signal) },
        { events: SYSCALLS | Event.SIGNAL },
      );
      await group.stop();
      await group.detach();
    });
    expect(rounds).toBeGreaterThan(0);
    expect(await target.output.line(/^slept/)).toBe('slept whole 1');
    expect(signals).toEqual([]);
  });

  test('names the tracer that holds a process', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('count');
    const holder = tracerProcess(target.pid);
    await holder.line(/^attached/);
    const utrace = tracer();
    expect(() => utrace.attach(target.pid, {}, { events: 0 })).toThrow(
      `node (process ${holder.pid}) traces it`,
    );
    await holder.kill();
    await untilUndisturbed(target.pid);
    await utrace.attach(target.pid, {}, { events: 0 }).detach();
  });

  test('leaves a process to strace, and names it', async (context) => {
    needs(context, 'cc', 'strace');
    const target = await startTarget('count');
    const strace = new Child('strace', ['-qq', '-o', '/dev/null', '-p', String(target.pid)]);
    await until('strace traces it', () => statusField(target.pid, 'TracerPid') === String(strace.pid));
    const utrace = tracer();
    expect(() => utrace.attach(target.pid, {}, { events: 0 })).toThrow(
      `strace (process ${strace.pid}) traces it`,
    );
    await strace.kill();
    await untilUndisturbed(target.pid);
  });

  test("refuses this process, Node's own children, and what is not there", async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const child = new Child('sleep', ['100']);
    const attach =
      (pid: number): (() => unknown) =>
      () =>
        utrace.attach(pid, {}, { events: 0 });
    expect(await rejection(attach(process.pid))).toBe('EINVAL');
    expect(await rejection(attach(child.pid))).toBe('EBUSY');
    await child.kill();
    expect(await rejection(attach(4_194_303))).toBe('ESRCH');
    for (const pid of [0, -1, 1.5, Number.NaN]) expect(await rejection(attach(pid))).toBe('EINVAL');
  });

  test('says of which process a thread is, and of the kernel that its threads are its own', async (context) => {
    needs(context, 'cc', 'root');
    const utrace = tracer();
    const target = await startTarget('dead-leader');
    const thread = readdirSync(`/proc/${target.pid}/task`)
      .map(Number)
      .find((tid) => tid !== target.pid) as number;
    expect(() => utrace.attach(thread, {}, { events: 0 })).toThrow(
      `process ${thread}: it is a thread of process ${target.pid} (EINVAL)`,
    );
    const kthreadd = 2;
    if (statusField(kthreadd, 'Name') !== 'kthreadd') return;
    expect(() => utrace.attach(kthreadd, {}, { events: 0 })).toThrow('it is a thread of the kernel');
  });

  test('refuses unknown events, and touches nothing', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const target = await startTarget('count');
    const unknown = 0x400;
    expect(await rejection(() => utrace.attach(target.pid, {}, { events: unknown }))).toBe('EINVAL');
    expect(await rejection(() => utrace.attachTask(target.pid, {}, unknown))).toBe('EINVAL');
    expect(await rejection(() => utrace.spawn({ command: 'true' }, {}, { events: unknown }))).toBe('EINVAL');
    expect(utrace.taskCount).toBe(0);
    const group = utrace.attach(target.pid, {}, { events: Event.QUIESCE });
    expect(await rejection(() => group.setEvents(unknown))).toBe('EINVAL');
    expect(group.events & unknown).toBe(0);
    await group.detach();
  });

  test('of a closed tracer is refused: nobody would take the stops', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const target = await startTarget('count');
    await utrace.close();
    expect(await rejection(() => utrace.attach(target.pid, {}, { events: SYSCALLS }))).toBe('EBADF');
    expect(await rejection(() => utrace.attachTask(target.pid, {}, SYSCALLS))).toBe('EBADF');
    expect(await rejection(() => utrace.spawn({ command: 'true' }, {}, { events: SYSCALLS }))).toBe('EBADF');
    expect(disturbedThreads(target.pid)).toEqual([]);
  });

  test('sees all threads of a process that makes and ends them all the time, and lets go of all', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('churn', '500');
    const utrace = tracer();
    for (let round = 0; round < 3 * SCALE; round++) {
      const { callbacks, counts } = counting();
      const group = utrace.attach(target.pid, callbacks, { events: Event.CLONE | Event.DEATH | SYSCALLS });
      await until(
        'threads were born and died',
        () => (counts['clone'] ?? 0) > 600 && (counts['death'] ?? 0) > 600,
      );
      const traced = new Set([...group.engines.keys()].map(({ tid }) => tid));
      const alive = readdirSync(`/proc/${target.pid}/task`).filter(
        (tid) => statusField(Number(tid), 'TracerPid') === '0',
      );
      expect(alive.filter((tid) => traced.has(Number(tid)))).toEqual([]);
      await group.detach();
      await utrace.untilEmpty();
      await untilUndisturbed(target.pid);
    }
    expect(stateOf(target.pid)).toBeDefined();
  });

  test('reaches a process in another pid namespace and its children', async (context) => {
    needs(context, 'cc', 'root');
    const target = await startCommand('unshare', '--pid', '--fork', targetProgram(), 'fork-forever');
    await target.output.line(/^ready/);
    const children = readFileSync(`/proc/${target.pid}/task/${target.pid}/children`, 'utf8')
      .trim()
      .split(' ');
    const inner = Number(children[0]);
    const utrace = tracer();
    const births = new Set<number>();
    const deaths = new Set<number>();
    const group = utrace.attach(
      inner,
      {
        clone: (_, child) => void births.add(child.tid),
        death: ({ task }) => void deaths.add(task.tid),
      },
      { events: Event.CLONE | Event.DEATH, follow: true },
    );
    await until('children were born and died', () => births.size > 10 && deaths.size > 10);
    await group.detach();
    await untilUndisturbed(inner);
    process.kill(inner, 'SIGKILL');
  });
});

test('a pidfd means its process, and nobody after it', async (context) => {
  needs(context, 'cc');
  const target = await startTarget('count');
  const utrace = tracer();
  const pidfd = libc().syscall(PIDFD_OPEN, target.pid, 0, 0, 0, 0, 0);
  const attach = (fd: number): ReturnType<typeof utrace.attach> =>
    utrace.attach({ pidfd: fd }, {}, { events: 0 });
  const group = attach(pidfd);
  expect(group.tgid).toBe(target.pid);
  await group.detach();
  await untilUndisturbed(target.pid);
  expect(await rejection(() => attach(0))).toBe('EBADF');
  target.send('SIGKILL');
  await target.output.line(/^status/);
  expect(await rejection(() => attach(pidfd))).toBe('ESRCH');
  closeDescriptor(pidfd);
});
