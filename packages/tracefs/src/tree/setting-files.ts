/** The files for an instance's options, clock, tracer and errors. They keep no state. */

import { traceClockNamed } from '../instance-clock.ts';
import type { TraceInstance } from '../instance.ts';
import type { TraceOptionName } from '../instance-options.ts';
import type { FileNode } from '../node.ts';
import { FILE_MODE, controlFile, taking, takingNumber } from './control-file.ts';
import { stripSpaces } from './written-text.ts';

/** The kernel takes options and clocks into a buffer of this many bytes, and refuses what leaves no end. */
const SETTING_BYTES = 64;
/** The kernel looks at so many bytes of a tracer's name (MAX_TRACER_SIZE). */
const TRACER_BYTES = 100;
/** The only tracer there is: it records events and nothing else. */
const TRACER = 'nop';

/** `trace_options`. */
export function traceOptionsFile(instance: TraceInstance): FileNode {
  return controlFile(instance, {
    mode: FILE_MODE.readWrite,
    read: () => instance.options.text(),
    write: taking((written) => {
      if (written.length >= SETTING_BYTES) return 'EINVAL';
      return instance.options.setByText(stripSpaces(written));
    }),
  });
}

/** `options/NAME`. */
export function optionFile(instance: TraceInstance, name: TraceOptionName): FileNode {
  return controlFile(instance, {
    mode: FILE_MODE.readWrite,
    read: () => (instance.options.isOn(name) ? '1\n' : '0\n'),
    write: takingNumber((value) => (value > 1 ? 'EINVAL' : instance.options.set(name, value === 1))),
  });
}

/** `trace_clock`: setting it empties the buffer. */
export function traceClockFile(instance: TraceInstance): FileNode {
  return controlFile(instance, {
    mode: FILE_MODE.readWrite,
    read: () => instance.clock.text(),
    write: taking((written) => {
      if (written.length >= SETTING_BYTES) return 'EINVAL';
      const name = traceClockNamed(stripSpaces(written));
      if (name === undefined) return 'EINVAL';
      instance.setClock(name);
      return undefined;
    }),
  });
}

/** `current_tracer`. */
export function currentTracerFile(instance: TraceInstance): FileNode {
  return controlFile(instance, {
    mode: FILE_MODE.readWrite,
    read: () => `${TRACER}\n`,
    write: taking((written) => {
      instance.expand();
      return stripSpaces(written.slice(0, TRACER_BYTES)) === TRACER ? undefined : 'EINVAL';
    }),
  });
}

/** `available_tracers`. */
export function availableTracersFile(instance: TraceInstance): FileNode {
  return controlFile(instance, { mode: FILE_MODE.read, read: () => `${TRACER}\n` });
}

/** `error_log`: opening it with O_TRUNC, or truncating it, clears it; what is written means nothing. */
export function errorLogFile(instance: TraceInstance): FileNode {
  return controlFile(instance, {
    mode: FILE_MODE.readWrite,
    read: () => instance.errors.text(),
    write: taking(() => undefined),
    truncate: () => instance.errors.clear(),
    opening: (mode) => {
      if (mode.writable && mode.truncate) instance.errors.clear();
      return undefined;
    },
  });
}

/** `timestamp_mode`: what the records of a buffer hold. */
export function timestampModeFile(instance: TraceInstance): FileNode {
  return controlFile(instance, { mode: FILE_MODE.read, read: () => '[delta] absolute\n' });
}
