/**
 * Event patterns as users type them: globs on SYSTEM:EVENT, or on EVENT alone.
 *
 * `*` stands for any text, `?` for one character, `[abc]` and `[a-z]` for one of a set, `[!abc]` for one that is
 * not in it (glob(7)). A multi-format event is called EVENT.ID; it also answers to EVENT, because nobody can know
 * the id before the program has registered it.
 */

import { Failure, EXIT } from './failure.ts';

/** Longest pattern that is accepted, in characters: an event's name has at most 512. */
const PATTERN_LENGTH_MAX = 1024;

/** Says whether an event is meant. */
export type EventMatcher = (system: string, event: string) => boolean;

/**
 * The matcher for one pattern.
 *
 * @throws {Failure} with the usage exit code when the pattern is empty, too long, or has an open `[`
 */
export function eventMatcher(pattern: string): EventMatcher {
  if (pattern === '') throw new Failure('a PATTERN is empty; use * for every event', EXIT.usage);
  if (pattern.length > PATTERN_LENGTH_MAX) {
    throw new Failure(`a PATTERN may have at most ${PATTERN_LENGTH_MAX} characters`, EXIT.usage);
  }
  const colon = pattern.indexOf(':');
  const system = colon < 0 ? undefined : globExpression(pattern.slice(0, colon), pattern);
  const event = globExpression(pattern.slice(colon + 1), pattern);
  return (systemName, eventName) =>
    (system === undefined || system.test(systemName)) &&
    (event.test(eventName) || event.test(withoutFormatId(systemName, eventName)));
}

/** The matcher for events that any of the patterns means. */
export function anyEventMatcher(patterns: readonly string[]): EventMatcher {
  const matchers = patterns.map(eventMatcher);
  return (system, event) => matchers.some((matches) => matches(system, event));
}

function withoutFormatId(system: string, event: string): string {
  return system === 'user_events_multi' ? event.replace(/\.[0-9a-f]+$/, '') : event;
}

function globExpression(glob: string, pattern: string): RegExp {
  let source = '';
  for (let index = 0; index < glob.length; index++) {
    const character = glob[index] as string;
    if (character === '*') {
      // Runs of stars mean one: several would let a short pattern take exponential time.
      if (!source.endsWith('.*')) source += '.*';
    } else if (character === '?') {
      source += '.';
    } else if (character === '[') {
      const end = glob.indexOf(']', index + 2);
      if (end < 0) throw new Failure(`PATTERN "${pattern}" has a [ without its ]`, EXIT.usage);
      source += setExpression(glob.slice(index + 1, end));
      index = end;
    } else {
      source += character.replace(/[\\^$.|+(){}\]]/, '\\$&');
    }
  }
  try {
    return new RegExp(`^${source}$`, 's');
  } catch {
    throw new Failure(`PATTERN "${pattern}" has a range that ends before it begins`, EXIT.usage);
  }
}

function setExpression(members: string): string {
  const isNegated = members.startsWith('!') || members.startsWith('^');
  const escaped = (isNegated ? members.slice(1) : members).replace(/[\\\]^[]/g, '\\$&');
  return `[${isNegated ? '^' : ''}${escaped}]`;
}
