/**
 * DefinitionRefusal: why a command to `uprobe_events` was not taken. It carries what the write answers and what
 * `error_log` shows: the rule's text, the command with single blanks, and the character that the caret points to.
 */

import { ERRNO, type ErrnoName } from '@usertrace/base';
import { REFUSALS, type RefusalErrno, type RefusalName } from './error-texts.ts';

/** A line of error_log. */
export interface RefusalLogEntry {
  readonly text: string;
  /** The command's words with one blank between each. */
  readonly command: string;
  /** The character of it that the caret stands under; may be one behind its end. */
  readonly position: number;
}

export class DefinitionRefusal extends Error {
  readonly code: ErrnoName;
  /** What error_log shows; the kernel logs nothing where it does not take a text for a definition at all. */
  readonly log: RefusalLogEntry | undefined;

  constructor(code: ErrnoName, log?: RefusalLogEntry) {
    super(
      log === undefined
        ? `Cannot take the probe definition: it is not of the form p[:[GRP/]EVENT] PATH:OFFSET [ARGS] (${code})`
        : `Cannot take the probe definition: ${log.text}, at character ${log.position + 1} of "${log.command}" (${code})`,
    );
    this.name = 'DefinitionRefusal';
    this.code = code;
    this.log = log;
  }

  /** The positive error number. */
  get errno(): number {
    return ERRNO[this.code];
  }
}

/** The words of one command, which say where in it something is wrong. */
export class CommandWords {
  readonly words: readonly string[];

  constructor(words: readonly string[]) {
    this.words = words;
  }

  /**
   * Refuses the command.
   *
   * @param word the number of the word that is wrong; one that is not there stands behind the last
   * @param offset the character of that word
   * @param rule which rule it breaks
   * @param errno where it is not the rule's own
   */
  refuse(word: number, offset: number, rule: RefusalName, errno?: RefusalErrno): never {
    const before = this.words.slice(0, word);
    const position = before.reduce((sum, { length }) => sum + length + 1, 0) + offset;
    const entry: { readonly text: string; readonly errno?: RefusalErrno } = REFUSALS[rule];
    const log = { text: entry.text, command: this.words.join(' '), position };
    throw new DefinitionRefusal(errno ?? entry.errno ?? 'EINVAL', log);
  }
}
