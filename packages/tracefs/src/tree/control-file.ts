/**
 * Files whose reads give a text and whose writes are commands: nearly all files of the tree. Made once with what
 * they do; each open file holds its own place in the text.
 */

import type { ErrnoName } from '@usertrace/base';
import type { TraceInstance } from '../instance.ts';
import type { Caller, FileNode, OpenFile, OpenMode, Reply } from '../node.ts';
import { TextReads } from './text-reads.ts';
import { parseUnsigned, textOf } from './written-text.ts';

/** Permission bits of files that are read, read and written, and written. */
export const FILE_MODE = { read: 0o440, readWrite: 0o640, write: 0o220 } as const;

/** What a control file does. */
export interface ControlFileRules {
  readonly mode: number;
  /** See FileNode; `text` when left out. */
  readonly access?: FileNode['access'];
  /** The text, or its pieces. */
  readonly read?: () => string | Iterable<string>;
  /** Takes the text of one write(2) and answers how many of its bytes were used. */
  readonly write?: (written: string, caller: Caller, reply: Reply<number>) => void;
  /** Is called before the file opens; an errno refuses, a function is called when the open file is closed. */
  readonly opening?: (mode: OpenMode, caller: Caller) => ErrnoName | (() => void) | undefined;
  /** Is called for truncate(2). */
  readonly truncate?: () => void;
}

/**
 * Makes a control file.
 *
 * @param instance the instance it belongs to, which cannot be removed while it is open
 */
export function controlFile(instance: TraceInstance, rules: ControlFileRules): FileNode {
  return {
    kind: 'file',
    mode: rules.mode,
    access: rules.access ?? 'text',
    open(caller, mode) {
      return openIn(instance, () => {
        const opened = rules.opening?.(mode, caller);
        return typeof opened === 'string' ? opened : new OpenControlFile(instance, rules, opened);
      });
    },
    ...(rules.truncate && { truncate: rules.truncate }),
  };
}

/** Opens a file of an instance, unless that was removed, and counts it. Who opens calls `closeIn` in the end. */
export function openIn(instance: TraceInstance, open: () => OpenFile | ErrnoName): OpenFile | ErrnoName {
  if (instance.isRemoved) return 'ENODEV';
  const file = open();
  if (typeof file !== 'string') instance.openFiles++;
  return file;
}

/** Undoes what `openIn` counted. */
export function closeIn(instance: TraceInstance): void {
  instance.openFiles--;
}

/** A writer that takes every text whole or refuses it. */
export function taking(
  take: (written: string, caller: Caller) => ErrnoName | undefined,
): NonNullable<ControlFileRules['write']> {
  return (written, caller, reply) => {
    const refusal = take(written, caller);
    if (refusal === undefined) reply.done(written.length);
    else reply.fail(refusal);
  };
}

/** A writer that takes an unsigned decimal number. */
export function takingNumber(
  take: (value: number) => ErrnoName | undefined,
): NonNullable<ControlFileRules['write']> {
  return taking((written) => {
    const value = parseUnsigned(written);
    return typeof value === 'string' ? value : take(value);
  });
}

class OpenControlFile implements OpenFile {
  readonly #instance: TraceInstance;
  readonly #rules: ControlFileRules;
  readonly #closed: (() => void) | undefined;
  readonly #reads: TextReads | undefined;

  constructor(instance: TraceInstance, rules: ControlFileRules, closed: (() => void) | undefined) {
    this.#instance = instance;
    this.#rules = rules;
    this.#closed = closed;
    const { read } = rules;
    if (read === undefined) return;
    this.#reads = new TextReads(() => {
      const text = read();
      return typeof text === 'string' ? [text] : text;
    }, instance.turns);
  }

  read(_caller: Caller, offset: number, size: number, reply: Reply<Uint8Array>): void {
    if (this.#reads === undefined) reply.fail('EINVAL');
    else this.#reads.read(offset, size, reply);
  }

  write(caller: Caller, _offset: number, bytes: Uint8Array, reply: Reply<number>): void {
    if (this.#rules.write === undefined) reply.fail('EINVAL');
    else this.#rules.write(textOf(bytes), caller, reply);
  }

  release(): void {
    this.#reads?.release();
    this.#closed?.();
    closeIn(this.#instance);
  }
}
