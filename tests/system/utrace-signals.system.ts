/** Signals of traced programs, once and in order, and job control. */
import { constants } from 'node:os';
import { Action, ALL_EVENTS, Event, SignalAction } from '@usertrace/utrace';
import { describe, expect, test } from 'vitest';
import { until } from '../support/wait.ts';
import { SCALE, needs } from './fixture.ts';
import { queueSignals, startTarget, targetProgram, tracer } from './utrace-fixture.ts';

/** Signals by which a terminal stops a job: Ctrl-Z, reading and writing in the background. */
const JOB_SIGNALS = ['SIGTSTP', 'SIGTTIN', 'SIGTTOU'] as const;
const SYSCALLS = Event.SYSCALL_ENTRY | Event.SYSCALL_EXIT;

/** An engine that counts the signals of a program that waits for so many, and watches its calls. */
async function watchSignals(count: number) {
  const target = await startTarget('signals', String(count));
  const utrace = tracer();
  const reported: number[] = [];
  const watcher = utrace.attach(
    target.pid,
    { signal: (_, { signal }) => void reported.push(signal) },
    { events: Event.SIGNAL | SYSCALLS },
  );
  return { target, utrace, watcher, reported };
}

describe('signals', () => {
  test('reach the program once and in order, whatever engines do', async (context) => {
    needs(context, 'cc');
    const count = 300 * SCALE;
    const { target, utrace, watcher, reported } = await watchSignals(count);
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
    expect(reported).toHaveLength(count);
    await watcher.detach();
  });

  test('reach the program once and in order past an engine that is alone and watches calls too', async (context) => {
    needs(context, 'cc');
    const count = 200 * SCALE;
    const { target, watcher, reported } = await watchSignals(count);
    await queueSignals(target.pid, count);
    await target.output.line(/^handled|^out/);
    expect(target.output.lines).toContain(`handled ${count}`);
    expect(reported).toHaveLength(count);
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

describe('a terminal’s job', () => {
  const events = { all: ALL_EVENTS, 'job control alone': Event.JOB_CONTROL | Event.DEATH };
  const cases = JOB_SIGNALS.flatMap((name) =>
    Object.entries(events).map(([told, bits]) => ({ name, told, bits })),
  );
  test.for(cases)('that $name stops stays so until SIGCONT ($told)', async ({ name, bits }, context) => {
    needs(context, 'cc');
    const number = constants.signals[name];
    const log: string[] = [];
    const ends: (number | undefined)[] = [];
    const group = tracer().spawn(
      { command: targetProgram(), args: ['job', String(number)] },
      {
        jobControl: (_, isStopped, signal) =>
          void log.push(`${isStopped ? 'stopped by' : 'on by'} ${signal}`),
        death: (_, { code }) => void ends.push(code),
      },
      { events: bits, follow: true },
    );
    await group.ended();
    expect(log).toEqual([`stopped by ${number}`, `on by ${constants.signals.SIGCONT}`]);
    // The job says 7 when it went on as it should; its parent says which signal it saw stop it.
    expect(ends).toEqual([7, number]);
  });
});
