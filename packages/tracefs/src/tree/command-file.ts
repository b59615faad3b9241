/**
 * Files of which each line that is written is a command to somebody who may take time, and each read asks for the text. A write is
 * answered when its commands are done.
 */
import type { ErrnoName } from '@usertrace/base';
import type { TraceInstance } from '../instance.ts';
import type { Caller, FileNode, OpenFile, OpenMode, Reply } from '../node.ts';
import type { ProbeRefusal } from '../probe-event.ts';
import { closeIn, openIn } from './control-file.ts';
import { bytesOf, textOf } from './written-text.ts';

/** The kernel takes a write in portions of this many bytes, and a line must end within one. */
const PORTION_BYTES = 4095;
/** Where errors of commands come from, in `error_log`. */
const LOCATION = 'trace_uprobe';

/** What such a file does. Nothing rejects. */
export interface CommandFileRules {
  readonly mode: number;
  readonly read: () => Promise<string>;
  /** Does what a line says; without it nothing can be written. */
  readonly execute?: (line: string, caller: Caller) => Promise<ProbeRefusal | undefined>;
  /** Is called when it is opened to be written anew: what refuses that, or what empties it. */
  readonly emptying?: (caller: Caller) => ErrnoName | (() => Promise<ProbeRefusal | undefined>);
}

/** Makes the file. */
export function commandFile(top: TraceInstance, rules: CommandFileRules): FileNode {
  return {
    kind: 'file',
    mode: rules.mode,
    access: 'text',
    open: (caller, mode) => openIn(top, () => opened(top, rules, caller, mode)),
  };
}

function opened(
  top: TraceInstance,
  rules: CommandFileRules,
  caller: Caller,
  mode: OpenMode,
): OpenFile | ErrnoName {
  const emptying = mode.writable && mode.truncate ? rules.emptying?.(caller) : undefined;
  return typeof emptying === 'string' ? emptying : new OpenCommandFile(top, rules, emptying?.());
}

class OpenCommandFile implements OpenFile {
  readonly #top: TraceInstance;
  readonly #rules: CommandFileRules;
  /** The text of the reads of this open file; asked for anew by a read from the beginning. */
  #text: Promise<Uint8Array> | undefined;
  /** What was asked for before, and how it ended. */
  #last: Promise<ProbeRefusal | undefined>;

  constructor(
    top: TraceInstance,
    rules: CommandFileRules,
    emptied: Promise<ProbeRefusal | undefined> = Promise.resolve(undefined),
  ) {
    this.#top = top;
    this.#rules = rules;
    this.#last = emptied;
  }

  read(_caller: Caller, offset: number, size: number, reply: Reply<Uint8Array>): void {
    let isOver = false;
    reply.onInterrupt(() => {
      isOver = true;
    });
    if (offset === 0 || this.#text === undefined) this.#text = this.#rules.read().then(bytesOf);
    void this.#text.then((bytes) => {
      if (!isOver) reply.done(bytes.subarray(offset, offset + size));
    });
  }

  write(caller: Caller, _offset: number, bytes: Uint8Array, reply: Reply<number>): void {
    const { execute } = this.#rules;
    if (execute === undefined) return reply.fail('EINVAL');
    const written = textOf(bytes);
    const lines = linesOf(written);
    let isOver = false;
    reply.onInterrupt(() => {
      isOver = true;
    });
    this.#last = this.#last.then((refusal) => refusal ?? this.#execute(execute, lines ?? [], caller));
    void this.#last.then((refusal) => {
      // The following write begins anew.
      this.#last = Promise.resolve(undefined);
      if (isOver) return;
      if (refusal !== undefined) reply.fail(refusal.code);
      else if (lines === undefined) reply.fail('EINVAL');
      else reply.done(written.length);
    });
  }

  release(): void {
    closeIn(this.#top);
  }

  async #execute(
    execute: NonNullable<CommandFileRules['execute']>,
    lines: readonly string[],
    caller: Caller,
  ): Promise<ProbeRefusal | undefined> {
    for (const line of lines) {
      const refusal = await execute(line, caller);
      if (refusal === undefined) continue;
      const { log } = refusal;
      if (log !== undefined) this.#top.errors.add(LOCATION, log.text, log.command, log.position);
      return refusal;
    }
    return undefined;
  }
}

/** The commands of a write; undefined when one is too long. */
function linesOf(written: string): string[] | undefined {
  // A zero byte ends the kernel's string, but not the write: it waits for a line's end that cannot come.
  const lines = written.split('\n');
  if (lines.some((line) => line.length + 1 > PORTION_BYTES || line.includes('\0'))) return undefined;
  return lines.filter((line) => line.trim() !== '');
}
