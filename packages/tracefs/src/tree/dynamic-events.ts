/**
 * `dynamic_events`, `user_events_status` and `user_events_unsettled`: the domain's own texts. Each line of a write to
 * dynamic_events is a command, and opening it with O_TRUNC removes all events (Documentation/trace/user_events.rst).
 */

import type { ErrnoName } from '@usertrace/base';
import type { Requester, UserEvents } from '@usertrace/user-events';
import type { TraceInstance } from '../instance.ts';
import type { FileNode } from '../node.ts';
import type { ProbesPort } from '../probe-event.ts';
import { commandFile } from './command-file.ts';
import { FILE_MODE, controlFile, taking } from './control-file.ts';
import type { TreePorts } from './ports.ts';

/** The kernel takes a write in portions of this many bytes, and a line must end within one. */
const PORTION_BYTES = 4095;
const REMOVAL = /^(?:-|![^:]*):/;

/**
 * `dynamic_events` of a tree with probes: of both kinds.
 *
 * @param isBusy whether somebody listens to a probe's event in this tree: then not all can be removed
 */
export function allDynamicEventsFile(
  top: TraceInstance,
  domain: UserEvents,
  ports: TreePorts,
  { probes, isBusy }: { readonly probes: ProbesPort; readonly isBusy: () => boolean },
): FileNode {
  return commandFile(top, {
    mode: FILE_MODE.readWrite,
    read: async () => domain.dynamicEventsText() + (await probes.listing()),
    execute: async (line, caller) => {
      const command = withoutComment(line);
      if (/^[pr]/.test(command)) return probes.execute(command, caller);
      ports.sweep();
      const outcome = domain.runDynamicCommand(ports.requester(caller), command);
      const mayBeProbe = REMOVAL.test(command) && (outcome === 'ok' || outcome === 'ENOENT');
      if (!mayBeProbe) return outcome === 'ok' ? undefined : { code: outcome };
      const refusal = await probes.execute(command.replace(REMOVAL, '-:'), caller);
      // It may be the name of a probe, of a user event, or of both.
      return refusal?.code === 'ENOENT' && outcome === 'ok' ? undefined : refusal;
    },
    emptying: (caller) => {
      ports.sweep();
      const refusal = isBusy() ? 'EBUSY' : removeAll(domain, ports.requester(caller));
      return refusal ?? (() => probes.clear());
    },
  });
}

/** `dynamic_events` of a tree without probes. */
export function dynamicEventsFile(top: TraceInstance, domain: UserEvents, ports: TreePorts): FileNode {
  return controlFile(top, {
    mode: FILE_MODE.readWrite,
    read: () => domain.dynamicEventsText(),
    opening: (mode, caller) => {
      ports.sweep();
      if (!mode.writable || !mode.truncate) return undefined;
      return removeAll(domain, ports.requester(caller));
    },
    write: taking((written, caller) => {
      ports.sweep();
      return runCommands(domain, ports.requester(caller), written);
    }),
  });
}

export function userEventsStatusFile(top: TraceInstance, domain: UserEvents, ports: TreePorts): FileNode {
  return controlFile(top, {
    mode: FILE_MODE.read,
    opening: () => {
      ports.sweep();
      return undefined;
    },
    read: () => domain.statusText(),
  });
}

/**
 * `user_events_unsettled`, which the kernel does not have: the enable words that do not have their event's state, or
 * not surely. Whoever wrote to `enable` finds out here which words could not be reached.
 */
export function userEventsUnsettledFile(top: TraceInstance, domain: UserEvents): FileNode {
  return controlFile(top, { mode: FILE_MODE.read, read: () => unsettledLines(domain) });
}

function* unsettledLines(domain: UserEvents): Generator<string> {
  for (const { event, address, bit, outcome, tids } of domain.unsettled()) {
    yield `${event.name} address=0x${address.toString(16)} bit=${bit} state=${outcome} tasks=${tids.join(',')}\n`;
  }
}

/** Runs each line until one fails; a line without its end counts when the write ends there. */
function runCommands(domain: UserEvents, requester: Requester, written: string): ErrnoName | undefined {
  let start = 0;
  while (start < written.length) {
    const lineEnd = written.indexOf('\n', start);
    const end = lineEnd < 0 ? written.length : lineEnd;
    const line = written.slice(start, end);
    const usedBytes = lineEnd < 0 ? line.length : line.length + 1;
    // A zero byte ends the kernel's string, but not the write: it waits for a line end that cannot come.
    if (usedBytes > PORTION_BYTES || line.includes('\0')) return 'EINVAL';
    const outcome = domain.runDynamicCommand(requester, withoutComment(line));
    if (outcome !== 'ok') return outcome;
    start += usedBytes;
  }
  return undefined;
}

/** Removes every event, or none when one of them is in use. */
function removeAll(domain: UserEvents, requester: Requester): ErrnoName | undefined {
  const events = [...domain.events];
  if (events.some((event) => !event.isUnreferenced)) return 'EBUSY';
  const file = domain.openFile(requester.uid);
  if (typeof file === 'string') return file;
  let refusal: ErrnoName | undefined;
  for (const name of new Set(events.map(({ registeredName }) => registeredName))) {
    const outcome = file.delete(requester, name);
    if (outcome === 'ok') continue;
    refusal = outcome;
    break;
  }
  file.release();
  domain.observers.clearRequested();
  return refusal;
}

function withoutComment(line: string): string {
  const comment = line.indexOf('#');
  return comment < 0 ? line : line.slice(0, comment);
}
