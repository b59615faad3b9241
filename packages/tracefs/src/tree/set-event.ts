/** `set_event` and `available_events`: an instance's events as one text. */

import type { TraceInstance } from '../instance.ts';
import type { FileNode, Reply } from '../node.ts';
import type { TracedEvent } from '../traced-event.ts';
import { FILE_MODE, controlFile } from './control-file.ts';
import type { EventCatalog } from './event-catalog.ts';
import { eventsNamed, switchEvents, whenSettled } from './event-switch.ts';
import { firstWord } from './written-text.ts';

/**
 * The file that lists the events that are on, and that switches them: a write takes one word, `EVENT`, `SYSTEM`,
 * `SYSTEM:EVENT`, with a `!` before it to switch off. Opening it with O_TRUNC switches off all.
 */
export function setEventFile(instance: TraceInstance, catalog: EventCatalog): FileNode {
  // Opening cannot wait until these have settled, so the write after it does.
  let switchedOff: TracedEvent[] = [];
  const answerWhenSettled = (usedBytes: number, reply: Reply<number>) => {
    const events = switchedOff;
    switchedOff = [];
    whenSettled(events, () => reply.done(usedBytes));
  };
  return controlFile(instance, {
    mode: FILE_MODE.readWrite,
    read: () => eventLines(catalog.listedBy(instance).filter((event) => instance.events.isAttached(event))),
    opening: (mode) => {
      if (!mode.writable || !mode.truncate) return undefined;
      switchedOff = [...instance.events.enabled];
      for (const event of switchedOff) instance.events.setEnabled(event, false);
      return undefined;
    },
    write: (written, _caller, reply) => {
      const first = firstWord(written);
      if (typeof first === 'string') return reply.fail(first);
      const { word, usedBytes } = first;
      if (word === '') return answerWhenSettled(usedBytes, reply);
      const isOn = !word.startsWith('!');
      const events = eventsNamed(catalog, isOn ? word : word.slice(1));
      if (events.length === 0) return reply.fail('EINVAL');
      instance.expand();
      switchEvents(instance, events, isOn, () => answerWhenSettled(usedBytes, reply));
    },
  });
}

/** The file that lists every event. */
export function availableEventsFile(instance: TraceInstance, catalog: EventCatalog): FileNode {
  return controlFile(instance, {
    mode: FILE_MODE.read,
    read: () => eventLines(catalog.listedBy(instance)),
  });
}

function* eventLines(events: readonly TracedEvent[]): Generator<string, void> {
  for (const { system, name } of events) yield `${system}:${name}\n`;
}
