/** Noticing that nobody reads a pipe any more: a command that waits for events would not, until it writes the next. */

import { fstatSync } from 'node:fs';

/** How often the pipe is looked at, in milliseconds. */
const LOOK_INTERVAL_MS = 200;
/** struct pollfd of poll(2): the descriptor, what is asked for, what is answered. Errors are always answered. */
const POLLFD_SIZE = 8;
const REVENTS_OFFSET = 6;
const POLLERR_OR_POLLHUP = 0x18;

/**
 * Calls back once when the reader of standard output has gone away (`| head`); never when it is no pipe.
 *
 * @returns ends the watching
 */
export async function whenReaderLeaves(gone: () => void): Promise<() => void> {
  const { fd } = process.stdout;
  const stat = fstatSync(fd);
  if (!stat.isFIFO() && !stat.isSocket()) return () => undefined;
  // Loaded here: commands that write to files and terminals start without it.
  const { libc } = await import('@usertrace/linux');
  const pollFd = Buffer.alloc(POLLFD_SIZE);
  pollFd.writeInt32LE(fd);
  const timer = setInterval(() => {
    libc().poll(pollFd, 1, 0);
    if ((pollFd.readInt16LE(REVENTS_OFFSET) & POLLERR_OR_POLLHUP) === 0) return;
    clearInterval(timer);
    gone();
  }, LOOK_INTERVAL_MS).unref();
  return () => clearInterval(timer);
}
