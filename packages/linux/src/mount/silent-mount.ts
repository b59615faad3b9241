/**
 * Whether the server of a mounted file system answers, found out by a process that may be left waiting: a server that
 * took a request and does not answer it holds whoever asked, and SIGKILL does not end that.
 */
import { libc } from '../bindings.ts';
import { monotonicNow } from '../clock.ts';
import { closeDescriptor, O, openDescriptor } from '../descriptor.ts';
import { EventFd } from '../event-fd.ts';
import { Executors } from '../memory/executor.ts';
import { FILE, KIND, REQUIRED } from '../memory/operation.ts';

/** How long the server may take. */
const PATIENCE_NS = 2_000_000_000;
const LOOK_INTERVAL_MS = 1;

/**
 * Asks the file system behind a descriptor. Waits for two seconds at most.
 *
 * @param fd of any file or directory in it; O_PATH suffices
 * @returns 0 or the negative error number that was answered; undefined if there was no answer, or none could be asked for
 */
export function answerOfMount(fd: number): number | undefined {
  const completion = new EventFd();
  const executors = new Executors(completion.fd, 1);
  try {
    const executor = executors.start();
    const isAsked = executor?.submit({
      space: { memFd: fd, mapsFd: fd },
      kind: KIND.PROBE,
      file: FILE.MEM,
      required: REQUIRED.NOTHING,
      address: 0n,
      length: 1,
      bytes: undefined,
      keep: 0,
      put: 0,
    });
    if (executor === undefined || isAsked !== true) return undefined;
    executor.wake();
    const givenUpNs = monotonicNow() + PATIENCE_NS;
    while (executor.inFlight > 0) {
      if (monotonicNow() >= givenUpNs) return undefined;
      libc().poll(null, 0, LOOK_INTERVAL_MS);
    }
    return executor.arena.result(0);
  } finally {
    executors.dispose();
    completion.close();
  }
}

/**
 * Whether the file system at a directory answers at all, be it with an error. Waits for two seconds at most.
 *
 * @param directory a path; what stands above it must answer
 * @returns false if it is silent; true, too, when there is no such directory
 */
export function answersAt(directory: string): boolean {
  // With O_PATH the mounted file system is not asked.
  const fd = openDescriptor(directory, O.PATH | O.DIRECTORY);
  if (fd < 0) return true;
  try {
    return answerOfMount(fd) !== undefined;
  } finally {
    closeDescriptor(fd);
  }
}
