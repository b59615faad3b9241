/** `usertrace enable` and `usertrace disable`: switching events of a running server, or of one process. */

import { setTimeout as delay } from 'node:timers/promises';
import type { ProviderEvent } from '@usertrace/abi';
import {
  type EventChoice,
  findProcesses,
  heldTooLong,
  type ProviderFile,
  switchStanding,
} from '@usertrace/recording';
import { Failure } from '../failure.ts';
import { anyEventMatcher, type EventMatcher, eventMatcher } from '../pattern.ts';
import type { EventName } from '../tree/texts.ts';
import { type TreeOptions, chosenTree } from './tree-option.ts';

/** How long another tool may hold a process's lock, in milliseconds. */
const LOCK_PATIENCE_MS = 2_000;
const LOCK_RETRY_MS = 5;

/**
 * Switches all events that the patterns mean, and prints which they are. With a process id, these are the events that
 * the process has at a server, if it sees one, and else those of its standing session, its flight recorder.
 *
 * @throws {Failure} when one of the patterns means no event; the others were switched
 */
export async function switchEvents(
  patterns: readonly string[],
  isOn: boolean,
  options: TreeOptions,
): Promise<void> {
  const switched = await switchMeant(patterns, isOn, options);
  for (const { system, event } of switched) {
    process.stdout.write(`${isOn ? 'enabled' : 'disabled'} ${system}:${event}\n`);
  }
  const idle = patterns.filter((pattern) => {
    const isMeant = eventMatcher(pattern);
    return !switched.some(({ system, event }) => isMeant(system, event));
  });
  if (idle.length > 0) {
    throw new Failure(
      `no event matches ${idle.join(' ')}; \`usertrace list\` shows those that are registered`,
    );
  }
}

async function switchMeant(
  patterns: readonly string[],
  isOn: boolean,
  options: TreeOptions,
): Promise<readonly EventName[]> {
  const choice = { patterns, matches: anyEventMatcher(patterns) };
  const { matches } = choice;
  if (options.pid === undefined) return chosenTree(options).switchEvents(matches, isOn);
  const found = findProcesses({ state: 'alive', access: 'change', pid: options.pid });
  try {
    const files = found.processes.flatMap((process) => process.files);
    if (files.length === 0) return chosenTree(options).switchEvents(matches, isOn);
    const served = servedEvents(options, matches, isOn);
    if (served.length > 0) return served;
    const switched = new Map<string, EventName>();
    for (const file of files) {
      for (const { system, name } of await switchThread(file, choice, isOn)) {
        switched.set(`${system}:${name}`, { system, event: name });
      }
    }
    return [...switched.values()];
  } finally {
    found.close();
  }
}

/** Switches events at the server that the process sees; none when there is no server. */
function servedEvents(options: TreeOptions, matches: EventMatcher, isOn: boolean): readonly EventName[] {
  try {
    return chosenTree(options).switchEvents(matches, isOn);
  } catch (error) {
    if (error instanceof Failure) return [];
    throw error;
  }
}

async function switchThread(
  file: ProviderFile,
  choice: EventChoice,
  isOn: boolean,
): Promise<readonly ProviderEvent[]> {
  const deadline = performance.now() + LOCK_PATIENCE_MS;
  for (;;) {
    const switched = switchStanding(file, choice, isOn);
    if (switched !== 'busy') return switched;
    if (performance.now() > deadline) throw heldTooLong(file);
    await delay(LOCK_RETRY_MS);
  }
}
