/** Engines on this machine's tasks. */
import { SystemTracer } from '@usertrace/linux';
import { Utrace, type UtraceOptions } from './utrace.ts';

/**
 * Makes this thread a tracer. Everything that it traces is let go by its `close`, or by the kernel when the thread ends: then it
 * runs on.
 *
 * @throws {UnsupportedSystemError} when this is not Linux on x86-64
 * @throws {ErrnoError} EBUSY while this thread has a tracer that was not closed: two would take each other's stops from wait(2)
 */
export function openUtrace(options: UtraceOptions = {}): Utrace {
  return new Utrace((listener) => new SystemTracer(listener), options);
}
