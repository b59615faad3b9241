/**
 * The directory of a trace instance: the root of the tree for the top instance, `instances/NAME` for others. The
 * tree holds one for each instance.
 */

import { Cpu } from '@usertrace/base';
import type { TaskRecorder } from '../instance-tasks.ts';
import type { TraceInstance } from '../instance.ts';
import type { TreeNode } from '../node.ts';
import {
  bufferPercentFile,
  bufferSizeFile,
  bufferTotalSizeFile,
  statsFile,
  subBufferSizeFile,
  tracingOnFile,
} from './buffer-files.ts';
import { FixedDirectory } from './directory.ts';
import type { EventCatalog } from './event-catalog.ts';
import { EventsDirectory } from './events-directory.ts';
import { setEventFile } from './set-event.ts';
import {
  availableTracersFile,
  currentTracerFile,
  errorLogFile,
  optionFile,
  timestampModeFile,
  traceClockFile,
  traceOptionsFile,
} from './setting-files.ts';
import { traceFile } from './trace-file.ts';
import { traceMarkerFile } from './trace-marker.ts';
import { PipeClaims, tracePipeFile, tracePipeRawFile } from './trace-pipe.ts';
import { InstanceText } from './instance-text.ts';

/** Permission bits of the directories whose files show or change what is recorded. */
export const DIRECTORY_MODE = 0o750;

/**
 * The files that every instance has.
 *
 * @param tasks whose names the traces show
 */
export function instanceFiles(
  instance: TraceInstance,
  catalog: EventCatalog,
  tasks: TaskRecorder,
): Record<string, TreeNode> {
  const text = new InstanceText(instance, catalog, tasks);
  const claims = new PipeClaims(instance.cpuCount);
  return {
    available_tracers: availableTracersFile(instance),
    buffer_percent: bufferPercentFile(instance),
    buffer_size_kb: bufferSizeFile(instance),
    buffer_subbuf_size_kb: subBufferSizeFile(instance),
    buffer_total_size_kb: bufferTotalSizeFile(instance),
    current_tracer: currentTracerFile(instance),
    error_log: errorLogFile(instance),
    events: new EventsDirectory(instance, catalog),
    options: optionsDirectory(instance),
    per_cpu: perCpuDirectory(instance, text, claims),
    set_event: setEventFile(instance, catalog),
    timestamp_mode: timestampModeFile(instance),
    trace: traceFile(instance, text),
    trace_clock: traceClockFile(instance),
    trace_marker: traceMarkerFile(instance),
    trace_options: traceOptionsFile(instance),
    trace_pipe: tracePipeFile(instance, text, claims),
    tracing_on: tracingOnFile(instance),
  };
}

function optionsDirectory(instance: TraceInstance): FixedDirectory {
  const files = instance.options.fileNames.map((name) => [name, optionFile(instance, name)] as const);
  return new FixedDirectory(DIRECTORY_MODE, Object.fromEntries(files));
}

function perCpuDirectory(instance: TraceInstance, text: InstanceText, claims: PipeClaims): FixedDirectory {
  const directories: Record<string, TreeNode> = {};
  for (let index = 0; index < instance.cpuCount; index++) {
    const cpu = Cpu(index);
    directories[`cpu${index}`] = new FixedDirectory(DIRECTORY_MODE, {
      buffer_size_kb: bufferSizeFile(instance, cpu),
      stats: statsFile(instance, cpu),
      trace: traceFile(instance, text, cpu),
      trace_pipe: tracePipeFile(instance, text, claims, cpu),
      trace_pipe_raw: tracePipeRawFile(instance, cpu),
    });
  }
  return new FixedDirectory(DIRECTORY_MODE, directories);
}
