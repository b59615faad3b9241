/** Programs that `spawn` starts: what they are given, and what is seen of them. */
import { mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { seccompFilter, systemCallNumber } from '@usertrace/abi';
import { Action, Event, openUtrace } from '@usertrace/utrace';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Child } from '../support/child.ts';
import { until } from '../support/wait.ts';
import { needs } from './fixture.ts';
import { counting, rejection, stateOf, targetProgram, tracer, zombiesOf } from './utrace-fixture.ts';

const SYSCALLS = Event.SYSCALL_ENTRY | Event.SYSCALL_EXIT;
const GETPPID = systemCallNumber('getppid');

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
    const folder = mkdtempSync(path.join(tmpdir(), 'usertrace-spawn-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const output = path.join(folder, 'output');
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
    await until('no zombie is left', () => zombiesOf(process.pid).length === 0);
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

  test('leaves no zombie of a program that it let go of, before and after close', async () => {
    for (const isClosed of [false, true]) {
      const utrace = openUtrace();
      const group = utrace.spawn(
        { command: 'sleep', args: ['0.2'] },
        { exec: () => Action.DETACH },
        { events: Event.EXEC },
      );
      await group.ended();
      if (isClosed) await utrace.close();
      await until('it has ended and left nothing', () => stateOf(group.tgid) === undefined);
      await until('no zombie is left', () => zombiesOf(process.pid).length === 0);
      if (!isClosed) await utrace.close();
    }
  });
});
