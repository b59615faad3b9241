/** What the commands' grammars share: examples in help texts, and options that may be given again. */

import { positiveNumber } from './commands/tree-option.ts';

/** The lines below a command's help: each a command line and what it is for. */
export function examples(...lines: (readonly [command: string, meaning: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  const shown = lines.map(([command, meaning]) => `  ${command.padEnd(width)}  ${meaning}`.trimEnd());
  return `\nExamples:\n${shown.join('\n')}\n`;
}

/** Takes an option's value besides those given before. */
export function collect(value: string, collected: string[] | undefined): string[] {
  return [...(collected ?? []), value];
}

/**
 * The same for numbers.
 *
 * @throws {InvalidArgumentError} when it is no whole number above 0
 */
export function collectNumber(value: string, collected: number[] | undefined): number[] {
  return [...(collected ?? []), positiveNumber(value)];
}
