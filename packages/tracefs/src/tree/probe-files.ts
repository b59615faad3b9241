/** `uprobe_events` and `uprobe_profile` (Documentation/trace/uprobetracer.rst). */
import type { TraceInstance } from '../instance.ts';
import type { FileNode } from '../node.ts';
import type { ProbesPort } from '../probe-event.ts';
import { commandFile } from './command-file.ts';
import { FILE_MODE } from './control-file.ts';

/** @param isBusy whether somebody listens to a probe's event in this tree: then not all can be removed */
export function uprobeEventsFile(top: TraceInstance, probes: ProbesPort, isBusy: () => boolean): FileNode {
  return commandFile(top, {
    mode: FILE_MODE.readWrite,
    read: () => probes.listing(),
    execute: (line, caller) => probes.execute(line, caller),
    emptying: () => (isBusy() ? 'EBUSY' : () => probes.clear()),
  });
}

export function uprobeProfileFile(top: TraceInstance, probes: ProbesPort): FileNode {
  return commandFile(top, { mode: FILE_MODE.read, read: () => probes.profile() });
}
