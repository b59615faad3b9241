/** `usertrace enable` and `usertrace disable`: switching events of a running server. */

import { Failure } from '../failure.ts';
import { anyEventMatcher, eventMatcher } from '../pattern.ts';
import { type TreeOptions, chosenTree } from './tree-option.ts';

/**
 * Switches all events that the patterns mean, and prints which they are.
 *
 * @throws {Failure} when one of the patterns means no event; the others were switched
 */
export function switchEvents(patterns: readonly string[], isOn: boolean, options: TreeOptions): void {
  const matches = anyEventMatcher(patterns);
  const tree = chosenTree(options);
  const switched = tree.switchEvents(matches, isOn);
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
