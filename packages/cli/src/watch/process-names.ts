/** Names of processes from /proc (proc(5)). They are what the processes say of themselves: shown, and never relied on. */
import { readFileSync, readlinkSync } from 'node:fs';
import { Tid } from '@usertrace/base';
import { readTaskCommand } from '@usertrace/linux';

/** What is shown of a task that says nothing. */
const UNKNOWN = '?';
const ASCII = /^[ -~]*$/;
/** Arguments that are shown of a command line, and characters of each. */
const ARGUMENTS_MAX = 32;
const ARGUMENT_LENGTH_MAX = 200;

/** A thread's name, or `?`. */
export function commOf(tid: number): string {
  const answer = readTaskCommand(Tid(tid));
  if (typeof answer === 'string') return UNKNOWN;
  return ASCII.test(answer.command) ? answer.command : Buffer.from(answer.command, 'latin1').toString();
}

/** The file that a process executes, or `?`. */
export function executableOf(tid: number): string {
  try {
    return readlinkSync(`/proc/${tid}/exe`);
  } catch {
    return UNKNOWN;
  }
}

/**
 * A process's arguments, its name among them.
 *
 * @param tid of a task that is stopped in its exec: nobody has changed them yet, and they are in memory
 */
export function commandLineOf(tid: number): string[] {
  try {
    const words = readFileSync(`/proc/${tid}/cmdline`, 'utf8').split('\0').slice(0, -1);
    const shown = words.slice(0, ARGUMENTS_MAX).map((word) => word.slice(0, ARGUMENT_LENGTH_MAX));
    return words.length > shown.length ? [...shown, '...'] : shown;
  } catch {
    return [];
  }
}
