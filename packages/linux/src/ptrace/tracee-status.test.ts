import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { threadsOf, traceeStatus } from './tracee-status.ts';

const NO_TASK = 0x3fff_fffe;

function handler(): void {}

it('this process is seen as it is', () => {
  const status = traceeStatus(process.pid);
  expect(status?.tgid).toBe(process.pid);
  expect(status?.parentPid).toBe(process.ppid);
  expect(status?.tracerPid).toBe(0);
  expect(status?.name).toBe(readFileSync('/proc/self/comm', 'utf8').trimEnd());
  expect('RS').toContain(status?.state);
});

it('a signal that is handled shows', () => {
  process.on('SIGUSR2', handler);
  const bit = 1n << 11n;
  expect((traceeStatus(process.pid)?.handledSignals ?? 0n) & bit).toBe(bit);
  process.off('SIGUSR2', handler);
});

it('threads show their process, and what is not there shows nothing', () => {
  const threads = threadsOf(process.pid);
  expect(threads).toContain(process.pid);
  expect(threads.length).toBeGreaterThan(1);
  for (const tid of threads) expect(traceeStatus(tid)?.tgid ?? process.pid).toBe(process.pid);
  expect(traceeStatus(NO_TASK)).toBeUndefined();
  expect(threadsOf(NO_TASK)).toEqual([]);
});
