import { expect, it } from 'vitest';
import {
  isStopStatus,
  PTRACE_EVENT,
  stopEvent,
  stopSignal,
  stopStatus,
  SYSTEM_CALL_STOP,
  taskEnd,
} from './wait-status.ts';

it('stops tell their signal and their event', () => {
  expect(isStopStatus(0x137f)).toBe(true);
  expect([stopSignal(0x137f), stopEvent(0x137f)]).toEqual([19, 0]);
  const exec = stopStatus(5, PTRACE_EVENT.EXEC);
  expect(exec).toBe(0x4_057f);
  expect([isStopStatus(exec), stopSignal(exec), stopEvent(exec)]).toEqual([true, 5, PTRACE_EVENT.EXEC]);
  expect(stopSignal(stopStatus(SYSTEM_CALL_STOP))).toBe(0x85);
});

it('ends tell the code, or the signal and whether it dumped core', () => {
  expect(isStopStatus(0x0700)).toBe(false);
  expect(taskEnd(0x0700)).toEqual({ code: 7, signal: undefined, dumpedCore: false });
  expect(taskEnd(9)).toEqual({ code: undefined, signal: 9, dumpedCore: false });
  expect(taskEnd(0x8b)).toEqual({ code: undefined, signal: 11, dumpedCore: true });
});
