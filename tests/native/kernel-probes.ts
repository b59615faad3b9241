/**
 * Asks the running kernel on which instructions it lets a uprobe be put: a program maps a file full of them, and each
 * gets a probe that is enabled and taken away again.
 */

import { closeSync, constants, openSync, writeFileSync, writeSync } from 'node:fs';
import { cProgram } from '../support/c-programs.ts';
import { Child } from '../support/child.ts';

const TRACEFS = '/sys/kernel/tracing';
const STRIDE = 32;

/** Whether there is a kernel to ask, and we may. */
export function canAskKernel(): boolean {
  return write('uprobe_events', '') === undefined;
}

function write(file: string, text: string): string | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(`${TRACEFS}/${file}`, constants.O_WRONLY | constants.O_APPEND);
    if (text !== '') writeSync(descriptor, text);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/**
 * @param forms the bytes of instructions in hex; zeros follow each
 * @param file where the file to map is written
 * @returns for each whether a probe may be put on it
 */
export async function askAboutInstructions(forms: readonly string[], file: string): Promise<boolean[]> {
  const code = Buffer.alloc(STRIDE * (forms.length + 1));
  for (const [index, form] of forms.entries()) code.write(form, index * STRIDE, 'hex');
  writeFileSync(file, code);
  const program = new Child(cProgram('tests/programs/mapped-file.c'), [file]);
  try {
    await program.line(/^mapped$/);
    return forms.map((_, index) => {
      write('uprobe_events', `p:usertrace_rules/probe ${file}:0x${(index * STRIDE).toString(16)}\n`);
      const refused = write('events/usertrace_rules/probe/enable', '1');
      write('events/usertrace_rules/probe/enable', '0');
      write('uprobe_events', '-:usertrace_rules/probe\n');
      return refused === undefined;
    });
  } finally {
    await program.kill();
  }
}
