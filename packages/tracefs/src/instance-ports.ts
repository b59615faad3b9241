/** What trace instances need from the system. */

import type { Cpu, Pid, Tid } from '@usertrace/base';
import type { DeferredWork } from '@usertrace/user-events';
import type { ClockPort } from './instance-clock.ts';

export interface InstancePorts {
  readonly clocks: ClockPort;
  readonly deferred: DeferredWork;
  /** How many CPUs the machine has. */
  readonly cpuCount: number;
  /** The CPU on which an event is recorded: below `cpuCount`. Asked for every event. */
  currentCpu(): Cpu;
  /** A thread's command name (`/proc/TID/comm`, without the line end), or undefined when it is gone. */
  commandOf(tid: Tid): string | undefined;
  /** The process a thread belongs to, or undefined when it is gone. */
  processOf(tid: Tid): Pid | undefined;
}
