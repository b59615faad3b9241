import type { TraceeStatus } from '@usertrace/linux';
import { expect, it } from 'vitest';
import { SimKernel } from './kernel.sim.ts';
import { mustBeProcess, mustBeTraceable, refusal } from './refusal.ts';

const EPERM = 1;

/** A kernel with one process that may not be traced, for a reason. */
function kernelWith(status: Partial<TraceeStatus>, scope?: number): { port: SimKernel; tid: number } {
  const port = new SimKernel();
  const { tid } = port.makeProcess();
  const real = port.status(tid) as TraceeStatus;
  port.status = (asked) => (asked === tid ? { ...real, ...status } : { ...real, name: 'gdb' });
  port.yamaScope = () => scope;
  return { port, tid };
}

it.each([
  [1, /ptrace_scope is 1: only descendants may be traced.*start the program with spawn/],
  [2, /ptrace_scope is 2: only root may trace/],
  [3, /ptrace_scope is 3: nobody may trace until the next boot/],
  [0, /belongs to another user, runs a program that this user may not read, or has rights .*; be root/],
  [undefined, /belongs to another user/],
])('refusal() explains what Yama’s setting %s means', (scope, text) => {
  const { port, tid } = kernelWith({}, scope);
  const error = refusal(port, tid, EPERM);
  expect(error.code).toBe('EPERM');
  expect(error.message).toMatch(text);
});

it('refusal() names another tracer before all else', () => {
  const { port, tid } = kernelWith({ tracerPid: 77 }, 2);
  expect(refusal(port, tid, EPERM).message).toContain('gdb (process 77) traces it');
});

it('refusal() says of a thread of the kernel that nobody may trace it, whatever Yama has', () => {
  const { port, tid } = kernelWith({ isKernelThread: true }, 2);
  expect(refusal(port, tid, EPERM).message).toContain('it is a thread of the kernel');
});

it('mustBeProcess() refuses what is no process, and names that of a thread', () => {
  const { port, tid } = kernelWith({ tgid: 77 });
  expect(() => mustBeProcess(port, tid)).toThrow(/it is a thread of process 77 \(EINVAL\)/);
  expect(() => mustBeProcess(port, 0)).toThrow(/no process id \(EINVAL\)/);
  port.status = () => undefined;
  expect(() => mustBeProcess(port, tid)).toThrow(/there is none \(ESRCH\)/);
});

it('refusal() says ESRCH of a zombie, whatever ptrace answered', () => {
  const { port, tid } = kernelWith({ state: 'Z' }, 1);
  expect(refusal(port, tid, EPERM)).toMatchObject({ code: 'ESRCH' });
});

it('mustBeTraceable() refuses this process and what Node waits for', () => {
  const own = kernelWith({});
  own.port.status = () => ({ tgid: own.port.ownPid }) as TraceeStatus;
  expect(() => mustBeTraceable(own.port, own.tid)).toThrow(/a process does not trace itself/);
  const child = kernelWith({ parentPid: own.port.ownPid });
  expect(() => mustBeTraceable(child.port, child.tid)).toThrow(/Node started it/);
});
