/** What the commands' help texts share. */

/** The lines below a command's help: each a command line and what it is for. */
export function examples(...lines: (readonly [command: string, meaning: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  const shown = lines.map(([command, meaning]) => `  ${command.padEnd(width)}  ${meaning}`.trimEnd());
  return `\nExamples:\n${shown.join('\n')}\n`;
}
