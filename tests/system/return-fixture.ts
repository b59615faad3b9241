/** Return probes of real programs, ours and those of the kernel's own uprobes, as lines of hits. */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { KernelUprobes } from '../support/kernel-uprobes.ts';
import { definitionOf } from '../support/native-probes.ts';
import { lineOf, start, unprobed, withTracer } from './breakpoint-fixture.ts';

/** What most probes fetch. */
export const WORDS = 'sp=%sp ip=%ip x=$comm value=$retval low=$retval:s8';

/** With the same addresses each time (setarch(8)). */
export const fixed = (...command: readonly string[]): string[] => [
  'setarch',
  '--addr-no-randomize',
  ...command,
];

/** What the kernel's own probes tell of a program that is run to its end. */
export function kernelLines(definitions: readonly string[], command: readonly string[]): string[] {
  using kernel = new KernelUprobes();
  for (const text of definitions) {
    const { event, path: file, offset, kind } = definitionOf(text);
    kernel.add(event, file, offset, text.split(' ').slice(2).join(' '), kind === 'return' ? 'r' : 'p');
  }
  kernel.enable(true, true);
  unprobed(command);
  return kernel.lines;
}

/** A folder for programs and what they print; removed after the tests of the describe() that makes it. */
export class ReturnFolder {
  readonly #path = mkdtempSync(path.join(tmpdir(), 'usertrace-returns-'));

  constructor() {
    afterAll(() => rmSync(this.#path, { recursive: true }));
  }

  /** Where a program prints to. */
  get output(): string {
    return path.join(this.#path, 'output');
  }

  /** A program that nobody else runs: the kernel's probes tell everybody's calls. */
  ownCopy(source: string): string {
    const copy = path.join(this.#path, path.basename(source, '.c'));
    if (!existsSync(copy)) copyFileSync(cProgram(source), copy);
    return copy;
  }

  /** The lines of our hits, by thread in the order of their first. */
  async ourLines(definitions: readonly string[], command: readonly string[]): Promise<string[][]> {
    const byThread = new Map<number, { timeNs: bigint; line: string }[]>();
    await withTracer(async (tracer, utrace) => {
      for (const text of definitions) {
        await tracer.add(definitionOf(text), (hit) => {
          const lines = byThread.get(hit.tid) ?? [];
          byThread.set(hit.tid, lines);
          lines.push({ timeNs: hit.timeNs, line: `${hit.definition.event}: ${lineOf(hit)}` });
        });
      }
      start(tracer, command, this.output);
      await utrace.untilEmpty();
    });
    expect(readFileSync(this.output, 'utf8')).toBe(unprobed(command));
    // Those of jumps are told some milliseconds after those of breakpoints.
    return [...byThread.values()].map((lines) =>
      lines.toSorted((one, other) => Number(one.timeNs - other.timeNs)).map(({ line }) => line),
    );
  }
}
