/**
 * The words and the environment that this command was given. Node decodes both as UTF-8, has U+FFFD for bytes that are none, and leaves
 * out variables with such names; what the bytes were is in /proc/self. Texts that are UTF-8 stay texts.
 */

import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import type { ProgramText } from '@usertrace/linux';

/** What Node has for bytes that are no UTF-8. A word may have this character of its own, which the bytes say. */
const REPLACEMENT = '\uFFFD';
const EQUALS_SIGN = '='.charCodeAt(0);

/**
 * Words of our command line, such as those of a command to run.
 *
 * @param words as they were decoded, in the order in which they stand there
 */
export function givenWords(words: readonly string[]): readonly ProgramText[] {
  return words.some(isDoubtful) ? wordsOf(words, ownStrings('cmdline')) : words;
}

/**
 * Our environment.
 *
 * @param changes variables that take the place of those of the same name
 * @returns `NAME=VALUE` each
 */
export function givenEnvironment(
  changes: Readonly<Record<string, string | undefined>> = {},
): readonly ProgramText[] {
  return environmentOf({ ...process.env, ...changes }, ownStrings('environ'));
}

/** @param strings the whole command line */
export function wordsOf(words: readonly string[], strings: readonly Buffer[]): readonly ProgramText[] {
  const found: ProgramText[] = [];
  let at = strings.length;
  // From the end: in front of the words are Node's and our own.
  for (const word of words.toReversed()) {
    do at -= 1;
    while (at >= 0 && strings[at]?.toString() !== word);
    const bytes = strings[at];
    // The command line was overwritten, as a title of the process is (prctl(2), PR_SET_MM).
    if (bytes === undefined) return words;
    found.push(isDoubtful(word) ? bytes : word);
  }
  return found.toReversed();
}

/**
 * @param variables as they were decoded, with what was changed since
 * @param strings the whole environment at the start of this process
 */
export function environmentOf(
  variables: NodeJS.ProcessEnv,
  strings: readonly Buffer[],
): readonly ProgramText[] {
  const bytesByText = new Map<string, Buffer>();
  const unnamed: Buffer[] = [];
  for (const entry of strings) {
    if (isUtf8(entry)) continue;
    const text = entry.toString();
    // Of two the first counts, as for getenv(3).
    if (!bytesByText.has(text)) bytesByText.set(text, entry);
    // From the second byte on, as getenv(3) has it: what begins with the sign has no name.
    const nameEnd = entry.indexOf(EQUALS_SIGN, 1);
    if (nameEnd > 0 && !isUtf8(entry.subarray(0, nameEnd))) unnamed.push(entry);
  }
  const named = Object.entries(variables).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const text = `${name}=${value}`;
    return [bytesByText.get(text) ?? text];
  });
  return [...named, ...unnamed];
}

function isDoubtful(text: string): boolean {
  return text.includes(REPLACEMENT);
}

/** Strings that the kernel keeps of this process, each with a zero byte behind it (proc_pid_cmdline(5)); none without /proc. */
function ownStrings(name: 'cmdline' | 'environ'): Buffer[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(`/proc/self/${name}`);
  } catch {
    return [];
  }
  const strings: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const found = bytes.indexOf(0, at);
    const end = found < 0 ? bytes.length : found;
    strings.push(bytes.subarray(at, end));
    at = end + 1;
  }
  return strings;
}
