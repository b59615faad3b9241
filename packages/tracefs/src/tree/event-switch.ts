/**
 * Switching many events of an instance at once: which ones a text names, and when all of them have settled.
 * Nothing here keeps state.
 */

import type { TraceInstance } from '../instance.ts';
import type { TracedEvent } from '../traced-event.ts';
import type { EventCatalog } from './event-catalog.ts';

/**
 * Switches events of an instance.
 *
 * @param settled is called once, perhaps before this returns, when every program's memory shows the new state or
 *   is known not to
 */
export function switchEvents(
  instance: TraceInstance,
  events: readonly TracedEvent[],
  isOn: boolean,
  settled: () => void,
): void {
  for (const event of events) instance.events.setEnabled(event, isOn);
  whenSettled(events, settled);
}

/** Calls back once, perhaps before this returns, when every event has settled. */
export function whenSettled(events: readonly TracedEvent[], settled: () => void): void {
  // One more than there are events, so that nothing is over before the last has been asked.
  let unsettledCount = events.length + 1;
  const settle = () => {
    unsettledCount--;
    if (unsettledCount === 0) settled();
  };
  for (const event of events) event.settled(settle);
  settle();
}

/**
 * The events that a word of `set_event` names: `SYSTEM:EVENT`, where either may be empty or `*` for any, or a
 * name alone that is a system's or an event's. The kernel knows no other patterns.
 */
export function eventsNamed(catalog: EventCatalog, word: string): TracedEvent[] {
  const colon = word.indexOf(':');
  if (colon < 0) return [...catalog.all()].filter(({ name, system }) => name === word || system === word);
  const wantedSystem = word.slice(0, colon);
  const wantedName = word.slice(colon + 1);
  return [...catalog.all()].filter(
    ({ name, system }) =>
      (isAny(wantedSystem) || system === wantedSystem) && (isAny(wantedName) || name === wantedName),
  );
}

/** What `enable` of a group says: all on, all off, both, or no events at all. */
export function groupStateText(instance: TraceInstance, events: Iterable<TracedEvent>): string {
  let isSomeOn = false;
  let isSomeOff = false;
  for (const event of events) {
    if (instance.events.isAttached(event)) isSomeOn = true;
    else isSomeOff = true;
    if (isSomeOn && isSomeOff) return 'X\n';
  }
  if (isSomeOn) return '1\n';
  return isSomeOff ? '0\n' : '?\n';
}

function isAny(wanted: string): boolean {
  return wanted === '' || wanted === '*';
}
