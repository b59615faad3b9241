/** Engines on this machine's tasks. */
import { SystemTracer } from '@usertrace/linux';
import { letGoOfStepped } from './stepped-tasks.ts';
import { Utrace, type UtraceOptions } from './utrace.ts';

/** This thread's tracer, or its last one. */
let newest: Utrace | undefined;

/**
 * Makes this thread a tracer. Everything that it traces is let go by its `close`, or by the kernel when the thread ends: then it
 * runs on.
 *
 * @throws {UnsupportedSystemError} when this is not Linux on x86-64
 * @throws {ErrnoError} EBUSY while this thread has a tracer that was not closed: two would take each other's stops from wait(2)
 */
export function openUtrace(options: UtraceOptions = {}): Utrace {
  const utrace = new Utrace((listener) => new SystemTracer(listener), options);
  if (newest === undefined)
    process.once('exit', () => {
      if (newest !== undefined) letGoOfStepped(newest.port, newest.tasks);
    });
  newest = utrace;
  return utrace;
}
