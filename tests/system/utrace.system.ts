/** The rules of engines, against real programs. packages/utrace/README.md names the test that shows each rule. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { Registers, seccompFilter, systemCallByName } from '@usertrace/abi';
import { closeDescriptor, libc } from '@usertrace/linux';
import {
  Action,
  ALL_EVENTS,
  type Callbacks,
  type Engine,
  Event,
  openUtrace,
  SignalAction,
  SystemCallAction,
} from '@usertrace/utrace';
import { describe, expect, test } from 'vitest';
import { Child, finish } from '../support/child.ts';
import { until } from '../support/wait.ts';
import { SCALE, needs } from './fixture.ts';
import {
  disturbedThreads,
  queueSignals,
  rejection,
  startCommand,
  startTarget,
  stateOf,
  statusField,
  targetProgram,
  tracer,
  untilUndisturbed,
  whileThere,
} from './utrace-fixture.ts';

const SYSCALLS = Event.SYSCALL_ENTRY | Event.SYSCALL_EXIT;
const GETPPID = systemCallByName('getppid')?.number as number;
const PIDFD_OPEN = 434;
const GETPID = systemCallByName('getpid')?.number as number;

/** Callbacks that count what they are called for. */
function counting(): { callbacks: Callbacks; counts: Record<string, number> } {
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

describe('spawn()', () => {
  test('reports every system call of a program from its exec on, and its end', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const { callbacks, counts } = counting();
    let calls = 0;
    const group = utrace.spawn(
      { command: targetProgram(), args: ['calls', '1000'] },
      {
        ...callbacks,
        syscallExit: (_, call) => {
          if (call.number === GETPPID && call.result === process.pid) calls += 1;
        },
      },
      { events: SYSCALLS | Event.EXEC | Event.DEATH | Event.REAP | Event.EXIT },
    );
    await group.ended();
    expect(calls).toBe(1000);
    expect(counts).toMatchObject({ exec: 1, exit: 1, death: 1, reap: 1 });
  });

  test('gives the program its arguments, environment, folder and descriptors, and no more', async () => {
    const utrace = tracer();
    const pipe = new Child('cat');
    const fds = readdirSync('/proc/self/fd').map(Number);
    const output = `/tmp/usertrace-spawn-${process.pid}`;
    const group = utrace.spawn(
      {
        command: 'sh',
        args: [
          '-c',
          'exec >"$OUT"; pwd; echo "$0" "$1"; readlink /proc/$$/fd/0 /proc/$$/fd/2; ls /proc/self/fd | wc -l; env | sort',
          'a b',
          'ü',
        ],
        env: { OUT: output, PATH: '/usr/bin:/bin' },
        cwd: '/usr',
      },
      {},
      { events: Event.EXEC, follow: true },
    );
    await group.ended();
    await pipe.end();
    expect(fds.length).toBeGreaterThan(4);
    const lines = readFileSync(output, 'utf8').trimEnd().split('\n');
    expect(lines.slice(0, 2)).toEqual(['/usr', 'a b ü']);
    expect(lines.slice(2, 4)).toEqual([0, 2].map((fd) => readlinkSync(`/proc/self/fd/${fd}`)));
    expect(Number(lines[4])).toBeLessThanOrEqual(5);
    expect(lines).toContain(`OUT=${output}`);
    expect(lines.length).toBeLessThanOrEqual(9);
  });

  test('answers what execve answered, and leaves no process', async () => {
    const utrace = tracer();
    const start = (command: string): unknown => utrace.spawn({ command }, {}, { events: 0 });
    expect(await rejection(() => start('/nonexistent/program'))).toBe('ENOENT');
    expect(await rejection(() => start('no-such-program-anywhere'))).toBe('ENOENT');
    expect(await rejection(() => start('/etc/passwd'))).toBe('EACCES');
    expect(utrace.taskCount).toBe(0);
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
    for (const child of children.filter((pid) => pid !== '')) expect(stateOf(Number(child))).not.toBe('Z');
  });

  test('with a filter stops for the calls of the filter alone', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const seen: string[] = [];
    const group = utrace.spawn(
      { command: targetProgram(), args: ['generations', '3'], filter: seccompFilter([GETPPID]) },
      {
        syscallEntry: (_, call) => void seen.push(`entry ${call.number}`),
        syscallExit: (_, call) => void seen.push(`exit ${call.number}`),
      },
      { events: SYSCALLS, follow: true },
    );
    await group.ended();
    expect(seen).toEqual([`entry ${GETPPID}`, `exit ${GETPPID}`]);
  });

  test('follows a Node program with its threads to its end', async () => {
    const utrace = tracer();
    const ends: (number | undefined)[] = [];
    let threads = 0;
    const group = utrace.spawn(
      { command: process.execPath, args: ['-e', 'setTimeout(() => process.exit(9), 50)'] },
      {
        clone: (_, child) => void (threads += child.tgid === group.tgid ? 1 : 0),
        death: (engine, end) => void (engine.task.tid === group.tgid && ends.push(end.code)),
      },
      { events: Event.CLONE | Event.DEATH, follow: true },
    );
    await group.ended();
    expect(ends).toEqual([9]);
    expect(threads).toBeGreaterThan(2);
  });
});

describe('attach()', () => {
  test('to a stopped process leaves it stopped until SIGCONT', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('count');
    target.send('SIGSTOP');
    await until('it is stopped', () => stateOf(target.pid) === 'T');
    const before = target.output.lines.length;
    const utrace = tracer();
    const stopped: boolean[] = [];
    const group = utrace.attach(
      target.pid,
      { jobControl: (_, isStopped) => void stopped.push(isStopped) },
      { events: Event.JOB_CONTROL | Event.SIGNAL },
    );
    await until('the group stop is reported', () => stopped.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(target.output.lines.length - before).toBeLessThan(3);
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

describe('signals', () => {
  test('reach the program once and in order, whatever engines do', async (context) => {
    needs(context, 'cc');
    const count = 300 * SCALE;
    const target = await startTarget('signals', String(count));
    const utrace = tracer();
    let reported = 0;
    const watcher = utrace.attach(
      target.pid,
      { signal: () => void (reported += 1) },
      { events: Event.SIGNAL | SYSCALLS },
    );
    const meddler = utrace.attach(target.pid, { quiesce: () => Action.RESUME }, { events: Event.QUIESCE });
    const sent = queueSignals(target.pid, count);
    let isOver = false;
    void target.output.line(/^handled|^out/).then(() => (isOver = true));
    await until('all were handled', async () => {
      if (!isOver) {
        await meddler.stop().catch(() => undefined);
        if (meddler.engines.size > 0) meddler.control(Action.INTERRUPT);
      }
      return isOver;
    });
    await sent;
    expect(target.output.lines).toContain(`handled ${count}`);
    expect(reported).toBe(count);
    await watcher.detach();
  });

  test('have the disposition that the last callback decides', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('usr1');
    const utrace = tracer();
    const seen: string[] = [];
    utrace.attach(
      target.pid,
      {
        signal: (_, { disposition, signal }) => (
          seen.push(`${signal} ${disposition}`), Action.RESUME | SignalAction.IGNORE
        ),
      },
      { events: Event.SIGNAL },
    );
    target.send('SIGUSR1');
    target.send('SIGTERM');
    await until('both were seen', () => seen.length === 2);
    const last = utrace.attach(
      target.pid,
      { signal: () => Action.RESUME | SignalAction.DELIVER },
      { events: Event.SIGNAL },
    );
    target.send('SIGUSR1');
    await target.output.line(/^usr1/);
    expect(seen).toEqual(['10 handle', '15 terminate', '10 handle']);
    expect(target.output.lines.filter((line) => line === 'usr1')).toHaveLength(1);
    await last.detach();
  });
});

describe('children', () => {
  test('of every generation are followed, and each is seen to its end', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const ends: (number | undefined)[] = [];
    const group = utrace.spawn(
      { command: targetProgram(), args: ['generations', '20'] },
      { death: (_, end) => void ends.push(end.code) },
      { events: Event.DEATH, follow: true },
    );
    await group.ended();
    expect(ends).toEqual(Array.from({ length: 21 }, () => 5));
  });

  test('made by fork and vfork, many in a second, are all seen', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const count = 500 * SCALE;
    const kinds: Record<string, number> = {};
    const ends: Record<string, number> = {};
    const first: number[] = [];
    const group = utrace.spawn(
      { command: targetProgram(), args: ['children', String(count)] },
      {
        clone: (_, child, { kind }) => {
          kinds[kind] = (kinds[kind] ?? 0) + 1;
          if (first.length < 3) first.push(child.engines.length);
        },
        death: (_, { code }) => void (ends[String(code)] = (ends[String(code)] ?? 0) + 1),
      },
      { events: Event.CLONE | Event.DEATH, follow: true },
    );
    await group.ended();
    expect(kinds).toEqual({ fork: count / 2, vfork: count / 2 });
    expect(ends).toEqual({ 7: count, 0: 1 });
    expect(first).toEqual([1, 1, 1]);
  });

  test('can be attached to before their first instruction', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const calls: string[] = [];
    const group = utrace.spawn(
      { command: targetProgram(), args: ['children', '1'] },
      {
        clone: (_, child) => {
          child.attach(
            { syscallEntry: (__, call) => void calls.push(`${call.number}`) },
            Event.SYSCALL_ENTRY,
          );
        },
      },
      { events: Event.CLONE },
    );
    await group.ended();
    await until('the child has ended', () => utrace.taskCount === 0);
    expect(calls.at(-1)).toBe(String(systemCallByName('exit_group')?.number));
  });
});

describe('exec', () => {
  test('by a thread that is not the leader keeps its engines, and ends the others', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const log: string[] = [];
    const name = (engine: Engine): string =>
      engine === first ? 'leader' : engine === third ? 'executing' : 'other';
    let first: Engine | undefined;
    let third: Engine | undefined;
    const group = utrace.spawn(
      { command: targetProgram(), args: ['exec-in-thread'] },
      {
        exec: (engine, formerTid) => {
          if (first === undefined) first = engine;
          else {
            third = engine;
            log.push(`exec ${engine.task.tid === group.tgid} ${formerTid !== group.tgid}`);
          }
        },
        death: (engine) => void log.push(`death of ${name(engine)}`),
        reap: (engine) => void log.push(`reap of ${name(engine)}`),
      },
      { events: Event.EXEC | Event.DEATH | Event.REAP },
    );
    await group.ended();
    expect(log.filter((line) => line.startsWith('death')).toSorted()).toEqual([
      'death of executing',
      'death of leader',
      'death of other',
    ]);
    expect(log.slice(-3)).toEqual(['exec true true', 'death of executing', 'reap of executing']);
    expect(log.indexOf('death of leader')).toBeLessThan(log.indexOf('exec true true'));
  });

  test('that fails is a call like any other', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const results: number[] = [];
    let execs = 0;
    const group = utrace.spawn(
      { command: targetProgram(), args: ['exec-fails'] },
      {
        exec: () => void (execs += 1),
        syscallExit: (_, call) => void (call.number === 59 && results.push(call.result)),
      },
      { events: Event.EXEC | SYSCALLS },
    );
    await group.ended();
    expect(execs).toBe(1);
    expect(results).toEqual([0, -2]);
  });
});

describe('engines', () => {
  test('are called in the order they attached, and in reverse at a system call entry; a new one misses the event', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const order: string[] = [];
    const note = (name: string): Callbacks => ({
      syscallEntry: (_, call) => void (call.number === GETPPID && order.push(`${name} entry`)),
      syscallExit: (_, call) => void (call.number === GETPPID && order.push(`${name} exit`)),
    });
    let hasAdded = false;
    const group = utrace.spawn(
      { command: targetProgram(), args: ['calls', '2'] },
      {
        ...note('a'),
        exec: (engine) => void engine.task.attach(note('b'), SYSCALLS),
        syscallEntry: (engine, call) => {
          if (call.number !== GETPPID) return;
          order.push('a entry');
          if (!hasAdded) engine.task.attach(note('c'), SYSCALLS);
          hasAdded = true;
        },
      },
      { events: SYSCALLS | Event.EXEC },
    );
    await group.ended();
    expect(order.slice(0, 5)).toEqual(['b entry', 'a entry', 'a exit', 'b exit', 'c exit']);
    expect(order.slice(5)).toEqual(['c entry', 'b entry', 'a entry', 'a exit', 'b exit', 'c exit']);
  });

  test('that watch calls and that single-step get on together', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    let steps = 0;
    let isStepping = false;
    const calls: string[] = [];
    const stepper: Callbacks = {
      signal: (_, { isStep }) => {
        if (!isStep) return undefined;
        steps += 1;
        return isStepping ? Action.SINGLESTEP : Action.RESUME;
      },
    };
    const group = utrace.spawn(
      { command: targetProgram(), args: ['calls', '12'] },
      {
        exec: (engine) => void engine.task.attach(stepper, Event.SIGNAL | Event.QUIESCE),
        syscallEntry: (_, call) => void (call.number === GETPPID && calls.push('entry')),
        syscallExit: (engine, call) => {
          if (call.number !== GETPPID) return;
          calls.push('exit');
          isStepping = calls.length >= 4 && calls.length < 20;
          const [, other] = engine.task.engines;
          if (calls.length === 4 && other !== undefined) other.control(Action.SINGLESTEP);
        },
        death: (_, { code }) => void calls.push(`ended ${code}`),
      },
      { events: SYSCALLS | Event.EXEC | Event.DEATH },
    );
    await group.ended();
    expect(calls).toEqual([...Array.from({ length: 12 }, () => ['entry', 'exit']).flat(), 'ended 0']);
    expect(steps).toBeGreaterThan(8 * 4);
  });

  test('can be twenty on one process', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const seen = Array.from({ length: 20 }, () => 0);
    const group = utrace.spawn(
      { command: targetProgram(), args: ['calls', '100'] },
      {
        exec: (engine) => {
          for (const index of seen.keys())
            engine.task.attach(
              {
                syscallExit: (_, call) =>
                  void (call.number === GETPPID && (seen[index] = (seen[index] ?? 0) + 1)),
              },
              SYSCALLS,
            );
        },
      },
      { events: Event.EXEC },
    );
    await group.ended();
    expect(seen).toEqual(Array.from({ length: 20 }, () => 100));
  });

  test('keep a task stopped until the one that asked lets go', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('count');
    const utrace = tracer();
    const one = utrace.attach(target.pid, {}, { events: 0 });
    const other = utrace.attach(target.pid, {}, { events: Event.QUIESCE });
    await Promise.all([one.stop(), other.stop()]);
    other.control(Action.RESUME);
    other.control(Action.INTERRUPT);
    await other.barrier();
    expect(stateOf(target.pid)).toBe('t');
    const before = target.output.lines.length;
    one.control(Action.RESUME);
    await until('it goes on', () => target.output.lines.length > before + 5);
  });

  test('answer what the kernel answered', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('count');
    const utrace = tracer();
    const engine = utrace.attachTask(target.pid, {}, 0);
    expect(await rejection(() => engine.control(99))).toBe('EINVAL');
    expect(await rejection(() => engine.control(Action.REPORT))).toBe('EINVAL');
    expect(await rejection(() => engine.examine(() => undefined))).toBe('EINVAL');
    expect(engine.setEvents(Event.QUIESCE)).toBe('done');
    expect(await rejection(() => engine.control(Action.SINGLESTEP))).toBe('EAGAIN');
    expect(engine.control(Action.STOP)).toBe('EINPROGRESS');
    await engine.stop();
    expect(engine.control(Action.STOP)).toBe('done');
    const moved = engine.examine(async () => {
      target.send('SIGKILL');
      await until('it is dead', () => engine.attachment === 'reaped');
    });
    expect(await rejection(() => moved)).toBe('EAGAIN');
    for (const call of [
      () => engine.control(Action.RESUME),
      () => engine.setEvents(0),
      () => engine.barrier(),
      () => engine.examine(() => undefined),
    ])
      expect(await rejection(call)).toBe('ESRCH');
    expect(engine.references).toBe(1);
  });

  test('that answer too late are told, and the task goes on', async (context) => {
    needs(context, 'cc');
    const utrace = tracer({ deadlineMs: 50 });
    const overdue: number[] = [];
    const answers: ((action: number) => void)[] = [];
    const group = utrace.spawn(
      { command: targetProgram(), args: ['calls', '10'] },
      {
        exec: () => new Promise((resolve) => answers.push(resolve)),
        overdue: (_, event) => void overdue.push(event),
      },
      { events: Event.EXEC },
    );
    const [engine] = group.engines.values();
    expect(engine?.setEvents(Event.CLONE)).toBe('EINPROGRESS');
    await until('it has ended in spite of that', () => utrace.taskCount === 0);
    expect(overdue).toEqual([Event.EXEC]);
    answers[0]?.(Action.STOP);
    await group.ended();
  });

  test('end a system call before it is made', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    const results: number[] = [];
    const group = utrace.spawn(
      { command: targetProgram(), args: ['calls', '3'] },
      {
        syscallEntry: (_, call) =>
          call.number === GETPPID ? Action.RESUME | SystemCallAction.ABORT : undefined,
        syscallExit: (_, call) => void (call.number === GETPPID && results.push(call.errno)),
      },
      { events: SYSCALLS },
    );
    await group.ended();
    expect(results).toEqual([38, 38, 38]);
  });
});

describe('examine()', () => {
  test('reads and writes memory and registers of a stopped program', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('memory');
    const [, text = '', counter = ''] = (
      target.output.lines.find((line) => line.startsWith('ready')) ?? ''
    ).split(' ');
    const utrace = tracer();
    await using engine = utrace.attachTask(target.pid, {}, 0);
    await engine.stop();
    await engine.examine((look) => {
      expect(look.readString(BigInt(text))).toBe('usertrace sees this');
      const registers = look.registers();
      expect(registers).toBeInstanceOf(Registers);
      expect(registers.get('rsp')).toBeGreaterThan(0n);
      look.setRegisters(registers);
      expect(() => look.read(8n, 8)).toThrow('EFAULT');
      look.write(BigInt(text), Buffer.from('USERTRACE'));
      look.write(BigInt(counter), Buffer.from([42]));
    });
    engine.control(Action.RESUME);
    expect(await target.output.line(/^counter/)).toBe('counter 42 text USERTRACE sees this');
  });

  test('makes a program call the system, and its own sleep and signals are as before', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('sleep-once', '1500');
    const utrace = tracer();
    const engine = utrace.attachTask(target.pid, {}, 0);
    const rounds = await whileThere(10, async () => {
      await engine.stop();
      await engine.examine((look) => {
        const before = look.registers();
        expect(look.systemCall(GETPID, [])).toBe(BigInt(target.pid));
        expect(look.registers().words).toEqual(before.words);
        expect(look.systemCall(3, [77n])).toBe(-9n);
        expect(() => look.systemCall(57, [])).toThrow('EINVAL');
      });
      engine.control(Action.RESUME);
    });
    expect(rounds).toBeGreaterThan(0);
    expect(await target.output.line(/^slept/)).toBe('slept whole 1');
    await engine.detach();
  });
});

describe('one thread', () => {
  test('traces one program after the other, each with a tracer of its own', async (context) => {
    needs(context, 'cc');
    for (let round = 0; round < 50 * SCALE; round++) {
      const { callbacks, counts } = counting();
      await using utrace = openUtrace();
      const group = utrace.spawn({ command: targetProgram(), args: ['calls', '5'] }, callbacks, {
        events: Event.EXEC | Event.DEATH | Event.SYSCALL_EXIT,
      });
      await group.ended();
      expect(counts).toMatchObject({ exec: 1, death: 1 });
    }
  });

  test('has one tracer at a time, and says so', async () => {
    const first = tracer();
    expect(() => openUtrace()).toThrow('Cannot make this thread a tracer: it is one');
    await first.close();
    tracer();
  });

  test('runs its timers after a callback made a sleeping program call the system', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('sleep-once', '600000');
    const utrace = tracer();
    const answers: bigint[] = [];
    const group = utrace.attach(
      target.pid,
      {
        quiesce: ({ task }) => {
          answers.push(task.examination().systemCall(GETPID, []));
          return answers.length % 5 === 0 ? Action.RESUME : Action.INTERRUPT;
        },
      },
      { events: Event.QUIESCE },
    );
    for (let round = 1; round <= 10; round++) {
      group.control(Action.INTERRUPT);
      await until('it was examined', () => answers.length >= 5 * round);
    }
    expect(new Set(answers)).toEqual(new Set([BigInt(target.pid)]));
    await group.detach();
  });
});

describe('a process', () => {
  test('whose threads were detached from one by one stops nobody, and has ended for its engines', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('count');
    const utrace = tracer();
    const watching = utrace.attach(target.pid, {}, { events: SYSCALLS });
    const leaving = utrace.attach(target.pid, { quiesce: () => Action.DETACH }, { events: Event.QUIESCE });
    await leaving.stop();
    await leaving.ended();
    expect(await rejection(() => leaving.stop())).toBe('ESRCH');
    expect(leaving.engines.size).toBe(0);
    await watching.detach();
    await untilUndisturbed(target.pid);
  });
});

describe('kill -9', () => {
  test('of the target at any moment leaves no zombie and nothing attached', async (context) => {
    needs(context, 'cc');
    const utrace = tracer();
    for (let round = 0; round < 10 * SCALE; round++) {
      const target = await startTarget(round % 2 === 0 ? 'fork-forever' : 'churn', '10');
      const group = utrace.attach(
        target.pid,
        { clone: () => (round % 3 === 0 ? Promise.resolve(Action.RESUME) : undefined) },
        { events: ALL_EVENTS, follow: true },
      );
      const stopping = round % 3 === 1 ? group.stop().catch(() => undefined) : undefined;
      await new Promise((resolve) => setTimeout(resolve, (round * 7) % 23));
      target.send('SIGKILL');
      await stopping;
      if (stopping !== undefined && group.engines.size > 0) group.control(Action.RESUME);
      await group.ended();
      await target.output.line(/^status/);
      expect(stateOf(target.pid)).toBeUndefined();
    }
    await utrace.untilEmpty();
  });

  test('of the tracer at any moment leaves the target running and untraced', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('churn', '20');
    for (let round = 0; round < 5 * SCALE; round++) {
      const holder = tracerProcess(target.pid);
      await holder.line(/^attached/);
      await new Promise((resolve) => setTimeout(resolve, (round * 11) % 37));
      await holder.kill();
      await untilUndisturbed(target.pid);
      expect(disturbedThreads(target.pid)).toEqual([]);
    }
    expect('RSD').toContain(stateOf(target.pid));
    const counter = await finish('kill', ['-0', String(target.pid)]);
    expect(counter.status).toBe(0);
  });
});

test('close() lets go of a process whose leader has ended, and its parent still sees the end', async (context) => {
  needs(context, 'cc');
  const target = await startTarget('dead-leader');
  const utrace = openUtrace();
  const group = utrace.attach(target.pid, {}, { events: Event.DEATH });
  expect(group.engines.size).toBe(2);
  target.send('SIGUSR1');
  await until('the leader is dead', () => stateOf(target.pid) === 'Z');
  await utrace.close();
  const others = readdirSync(`/proc/${target.pid}/task`).filter((tid) => Number(tid) !== target.pid);
  expect(others.map((tid) => statusField(Number(tid), 'TracerPid'))).toEqual(['0']);
  const ends: (number | undefined)[] = [];
  const later = tracer().spawn(
    { command: targetProgram(), args: ['generations', '3'] },
    { death: (_, { code }) => void ends.push(code) },
    { events: Event.DEATH, follow: true },
  );
  await later.ended();
  expect(ends).toEqual([5, 5, 5, 5]);
  target.send('SIGKILL');
  expect(await target.output.line(/^status/)).toBe('status 137');
  expect(stateOf(target.pid)).toBeUndefined();
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

/** Another Node that traces all calls of a process until it is killed. */
function tracerProcess(pid: number): Child {
  const script = `
    import { openUtrace, Event } from '@usertrace/utrace';
    const utrace = openUtrace();
    utrace.attach(${pid}, {}, { events: Event.SYSCALL_ENTRY | Event.SYSCALL_EXIT | Event.EXIT, follow: true });
    console.log('attached');
  `;
  return new Child(process.execPath, ['--input-type=module', '-e', script]);
}
