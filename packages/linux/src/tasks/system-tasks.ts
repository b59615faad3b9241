/**
 * The real `TaskPort`: /proc, kcmp(2) and pidfds. It keeps one descriptor, on /proc/loadavg, and one for each process
 * whose end is watched, which the reactor that it was given waits for.
 */
import { assert, type Nanoseconds, type Pid, type Tid } from '@usertrace/base';
import { failure, libc, SYSTEM_CALL } from '../bindings.ts';
import { monotonicNow } from '../clock.ts';
import { closeDescriptor, O, openDescriptor, readDescriptorAt } from '../descriptor.ts';
import { imageFingerprint } from './image.ts';
import type { TaskPort, TaskSight } from './port.ts';
import {
  type Absence,
  listProcesses,
  listThreads,
  readTaskCommand,
  readTaskFile,
  readTaskStat,
  readTaskStatus,
} from './procfs.ts';

/** kcmp(2): compare the memory. */
const KCMP_VM = 1;
/** USER_HZ: proc(5) counts start times in it, on x86-64 and arm64 alike. */
const TICKS_PER_SECOND = 100;
/** `0.20 0.18 0.12 1/80 11206`: three loads, tasks, the newest id; each number has 10 digits at most. */
const LOADAVG_BYTES = 96;

/** What waits for descriptors: the reactor. */
export interface DescriptorWatcher {
  watch(fd: number, readable: () => void): { cancel(): void };
}

/** The tasks of this system. Its owner closes it. */
export class SystemTasks implements TaskPort {
  readonly #watcher: DescriptorWatcher;
  readonly #loadFd: number;
  readonly #loadText = Buffer.alloc(LOADAVG_BYTES);

  /** @param watcher waits for pidfds, and calls back on this thread */
  constructor(watcher: DescriptorWatcher) {
    this.#watcher = watcher;
    this.#loadFd = openDescriptor('/proc/loadavg', O.RDONLY);
    assert(this.#loadFd >= 0, '/proc is mounted');
  }

  look(tid: Tid): TaskSight | Absence {
    const stat = readTaskStat(tid);
    if (typeof stat === 'string') return stat;
    const { startTicks, parentPid, hasExeced, memory, state } = stat;
    if (memory === 'none' || state === 'Z' || state === 'X') return 'gone';
    const image = memory === 'hidden' ? undefined : imageFingerprint(tid, memory);
    return { startTicks, parentPid, image, hasExeced };
  }

  processOf(tid: Tid): Pid | Absence {
    const status = readTaskStatus(tid);
    return typeof status === 'string' ? status : status.pid;
  }

  /** The name of a task (`/proc/TID/comm`), one character a byte, or undefined when it is gone. */
  commandOf(tid: Tid): string | undefined {
    const answer = readTaskCommand(tid);
    return typeof answer === 'string' ? undefined : answer.command;
  }

  processes(): readonly Pid[] {
    return listProcesses();
  }

  threads(pid: Pid): readonly Tid[] {
    return listThreads(pid);
  }

  newestTid(): number {
    const size = readDescriptorAt(this.#loadFd, this.#loadText, LOADAVG_BYTES, 0);
    assert(size > 0, '/proc/loadavg can be read');
    const text = this.#loadText.toString('latin1', 0, size);
    return Number(text.slice(text.lastIndexOf(' ')));
  }

  sharesMemory(first: Tid, second: Tid): boolean {
    return libc().syscall(SYSTEM_CALL.kcmp, first, second, KCMP_VM, 0, 0, 0) === 0;
  }

  watchExit(pid: Pid, ended: () => void): { cancel(): void } | undefined {
    const fd = failure(libc().syscall(SYSTEM_CALL.pidfd_open, pid, 0, 0, 0, 0, 0));
    if (fd < 0) return undefined;
    const watch = this.#watcher.watch(fd, () => {
      cancel();
      ended();
    });
    let isOpen = true;
    const cancel = (): void => {
      if (!isOpen) return;
      isOpen = false;
      watch.cancel();
      closeDescriptor(fd);
    };
    return { cancel };
  }

  now(): Nanoseconds {
    return monotonicNow();
  }

  ticksAt(instant: Nanoseconds): number {
    const uptime = readTaskFile('/proc/uptime', 0, LOADAVG_BYTES);
    assert(typeof uptime !== 'string', '/proc/uptime can be read');
    const seconds = Number.parseFloat(uptime.toString('latin1'));
    return Math.floor((seconds - (monotonicNow() - instant) / 1e9) * TICKS_PER_SECOND);
  }

  close(): void {
    closeDescriptor(this.#loadFd);
  }
}
