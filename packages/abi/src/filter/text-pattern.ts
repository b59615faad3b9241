/**
 * How a filter compares text, by what a kernel let through (Linux 6.18): a value that is compared with `~` is one of a few kinds of
 * pattern, and of each the kernel looks at the field in another way.
 *
 *     "abc"  "1*"    the whole text: also what begins with a digit
 *     "abc*"         how it begins
 *     "*abc*"        what is in it, behind a NUL too
 *     "*abc"         how the field ends, but for its last byte: a text that does not fill up its array never does
 *     "a*c"  "a?c"  "[a-c]"  "\*"    a glob
 *     "!..."         anything but that
 */

/** A text in a record. */
export interface FieldText {
  /** What begins at the text's place, as far as the record goes; one character a byte. */
  readonly onwards: string;
  /** How many of these bytes are the field's, with the NUL at the end. */
  readonly length: number;
}

type TextTest = (text: FieldText) => boolean;

/** Whether a text is another. One of no length goes on to the next NUL. */
export function equalTo(wanted: string): TextTest {
  return ({ onwards, length }) =>
    length === 0
      ? untilNul(onwards) === wanted
      : untilNul(onwards.slice(0, length)) === wanted.slice(0, length);
}

/** Whether a text is like a pattern. */
export function like(written: string): TextTest {
  const isNegated = written.startsWith('!');
  const test = patternTest(isNegated ? written.slice(1) : written);
  return isNegated ? (text) => !test(text) : test;
}

function patternTest(pattern: string): TextTest {
  if (/^\d/.test(pattern)) return equalTo(pattern);
  const { start, text, end } = /^(?<start>\*?)(?<text>[^*?[\\]*)(?<end>\*?)$/s.exec(pattern)?.groups ?? {};
  if (text === undefined) {
    const glob = globTest(pattern);
    return ({ onwards, length }) => glob(untilNul(onwards.slice(0, length)));
  }
  if (start === '') return end === '' ? equalTo(text) : beginsWith(text);
  return end === '' ? endsWith(text) : contains(text);
}

function beginsWith(wanted: string): TextTest {
  return ({ onwards, length }) => (length === 0 || length >= wanted.length) && onwards.startsWith(wanted);
}

function endsWith(wanted: string): TextTest {
  return ({ onwards, length }) => length > 0 && onwards.slice(0, length - 1).endsWith(wanted);
}

function contains(wanted: string): TextTest {
  return ({ onwards, length }) =>
    (length === 0 ? untilNul(onwards) : onwards.slice(0, length)).includes(wanted);
}

/** One step of a glob: any characters, or one of some. */
type GlobStep = 'any' | ((character: string) => boolean);

/** Tests texts by a glob. It takes time in proportion to text and pattern. */
function globTest(pattern: string): (text: string) => boolean {
  const steps = globSteps(pattern);
  return (text) => {
    let at = 0;
    let step = 0;
    let retry: { at: number; step: number } | undefined;
    for (;;) {
      const wanted = steps[step];
      if (wanted === 'any') {
        step += 1;
        retry = { at, step };
      } else if (at < text.length && wanted?.(text.charAt(at)) === true) {
        at += 1;
        step += 1;
      } else if (at === text.length && wanted === undefined) return true;
      else if (retry === undefined || retry.at === text.length) return false;
      else {
        retry.at += 1;
        ({ at, step } = retry);
      }
    }
  };
}

function globSteps(pattern: string): GlobStep[] {
  const steps: GlobStep[] = [];
  let at = 0;
  while (at < pattern.length) {
    const character = pattern.charAt(at);
    const set = character === '[' ? characterSet(pattern, at + 1) : undefined;
    at += 1;
    if (character === '*') steps.push('any');
    else if (character === '?') steps.push(() => true);
    else if (set !== undefined) {
      steps.push(set.test);
      at = set.end;
    } else {
      const isEscape = character === '\\' && at < pattern.length;
      const wanted = isEscape ? pattern.charAt(at) : character;
      if (isEscape) at += 1;
      steps.push((other) => other === wanted);
    }
  }
  return steps;
}

/**
 * A set in brackets. A bracket that is never closed stands for itself; one that closes stands first in a set to be in it.
 *
 * @param start behind the opening bracket
 */
function characterSet(
  pattern: string,
  start: number,
): { test: (character: string) => boolean; end: number } | undefined {
  const isNegated = pattern.charAt(start) === '!';
  let at = isNegated ? start + 1 : start;
  const ranges: [string, string][] = [];
  do {
    const first = pattern.charAt(at);
    if (first === '') return undefined;
    const last = pattern.charAt(at + 2);
    const isRange = pattern.charAt(at + 1) === '-' && last !== ']';
    if (isRange && last === '') return undefined;
    ranges.push([first, isRange ? last : first]);
    at += isRange ? 3 : 1;
  } while (pattern.charAt(at) !== ']');
  const test = (character: string): boolean =>
    ranges.some(([first, last]) => first <= character && character <= last) !== isNegated;
  return { test, end: at + 1 };
}

function untilNul(text: string): string {
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}
