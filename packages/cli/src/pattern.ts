/** Event patterns on the command line: base's, with the exit code of a wrong use. */

import { type EventMatcher, eventMatcher as matcherOf, PatternError } from '@usertrace/base';
import { Failure, EXIT } from './failure.ts';

export type { EventMatcher } from '@usertrace/base';

/**
 * The matcher for one pattern.
 *
 * @throws {Failure} with the usage exit code when the pattern is empty, too long, or has an open `[`
 */
export function eventMatcher(pattern: string): EventMatcher {
  try {
    return matcherOf(pattern);
  } catch (error) {
    if (error instanceof PatternError) throw new Failure(error.message, EXIT.usage);
    throw error;
  }
}

/** The matcher for events that any of the patterns means. */
export function anyEventMatcher(patterns: readonly string[]): EventMatcher {
  const matchers = patterns.map(eventMatcher);
  return (system, event) => matchers.some((matches) => matches(system, event));
}
