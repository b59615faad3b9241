/**
 * Event patterns as users type them: globs on SYSTEM:EVENT, or on EVENT alone.
 *
 * `*` stands for any text, `?` for one character, `[abc]` and `[a-z]` for one of a set, `[!abc]` for one that is
 * not in it (glob(7)). A multi-format event is called EVENT.ID; it also answers to EVENT, because nobody can know
 * the id before the program has registered it.
 */

/** Longest pattern that is accepted, in characters: an event's name has at most 512. */
const PATTERN_LENGTH_MAX = 1024;

/** Says whether an event is meant. */
export type EventMatcher = (system: string, event: string) => boolean;

/** Thrown for a pattern that cannot be one; the message says why. */
export class PatternError extends Error {
  override readonly name: string = 'PatternError';
}

/**
 * The matcher for one pattern. It takes time in proportion to the pattern's length times the name's at most, because
 * traced programs match patterns that others wrote.
 *
 * @throws {PatternError} when the pattern is empty, too long, or has an open `[`
 */
export function eventMatcher(pattern: string): EventMatcher {
  if (pattern === '') throw new PatternError('a PATTERN is empty; use * for every event');
  if (pattern.length > PATTERN_LENGTH_MAX) {
    throw new PatternError(`a PATTERN may have at most ${PATTERN_LENGTH_MAX} characters`);
  }
  const colon = pattern.indexOf(':');
  const system = colon < 0 ? undefined : parseGlob(pattern.slice(0, colon), pattern);
  const event = parseGlob(pattern.slice(colon + 1), pattern);
  return (systemName, eventName) =>
    (system === undefined || matchesGlob(system, systemName)) &&
    (matchesGlob(event, eventName) || matchesGlob(event, withoutFormatId(systemName, eventName)));
}

/**
 * The matcher of one glob, for any text.
 *
 * @throws {PatternError} when it has an open `[`
 */
export function globMatcher(glob: string): (text: string) => boolean {
  const parts = parseGlob(glob, glob);
  return (text) => matchesGlob(parts, text);
}

function withoutFormatId(system: string, event: string): string {
  return system === 'user_events_multi' ? event.replace(/\.[0-9a-f]+$/, '') : event;
}

/** One character of a name, or any text. */
type GlobPart = ((character: string) => boolean) | 'any text';

function parseGlob(glob: string, pattern: string): GlobPart[] {
  const parts: GlobPart[] = [];
  for (let index = 0; index < glob.length; index++) {
    const character = glob[index] as string;
    if (character === '*') parts.push('any text');
    else if (character === '?') parts.push(() => true);
    else if (character === '[') {
      const end = glob.indexOf(']', index + 2);
      if (end < 0) throw new PatternError(`PATTERN "${pattern}" has a [ without its ]`);
      parts.push(parseSet(glob.slice(index + 1, end), pattern));
      index = end;
    } else parts.push((seen) => seen === character);
  }
  return parts;
}

function parseSet(members: string, pattern: string): GlobPart {
  const isNegated = members.startsWith('!') || members.startsWith('^');
  const ranges: { readonly first: string; readonly last: string }[] = [];
  for (let index = isNegated ? 1 : 0; index < members.length; index++) {
    const first = members[index] as string;
    const isRange = members[index + 1] === '-' && index + 2 < members.length;
    const last = isRange ? (members[index + 2] as string) : first;
    if (last < first) throw new PatternError(`PATTERN "${pattern}" has a range that ends before it begins`);
    ranges.push({ first, last });
    if (isRange) index += 2;
  }
  return (seen) => ranges.some(({ first, last }) => seen >= first && seen <= last) !== isNegated;
}

/** Goes back to the last star only: what an earlier one could take, the last can take as well. */
function matchesGlob(parts: readonly GlobPart[], name: string): boolean {
  let part = 0;
  let at = 0;
  let star = -1;
  let starAt = 0;
  while (at < name.length) {
    const wanted = parts[part];
    if (wanted === 'any text') {
      star = part++;
      starAt = at;
    } else if (wanted?.(name[at] as string) === true) {
      part++;
      at++;
    } else if (star >= 0) {
      part = star + 1;
      at = ++starAt;
    } else return false;
  }
  while (parts[part] === 'any text') part++;
  return part === parts.length;
}
