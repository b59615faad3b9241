/** `trace_marker`: what a program writes there becomes a `print` entry (Documentation/trace/ftrace.rst). */

import { PRINT_EVENT_ID, PRINT_TEXT_MAX, encodePrintPayload } from '@usertrace/abi';
import type { TraceInstance } from '../instance.ts';
import type { FileNode } from '../node.ts';
import { FILE_MODE, controlFile } from './control-file.ts';
import { bytesOf } from './written-text.ts';

/** A write beyond PRINT_TEXT_MAX is taken in part. EBADF while tracing is off, EINVAL without the option `markers`. */
export function traceMarkerFile(instance: TraceInstance): FileNode {
  return controlFile(instance, {
    mode: FILE_MODE.write,
    // It has no position.
    access: 'pipe',
    write: (written, caller, reply) => {
      if (!instance.options.isOn('markers')) return reply.fail('EINVAL');
      const text = written.slice(0, PRINT_TEXT_MAX);
      if (instance.write(PRINT_EVENT_ID, caller.tid, encodePrintPayload(bytesOf(text)))) {
        reply.done(text.length);
      } else {
        reply.fail('EBADF');
      }
    },
  });
}
