/** The command that names an event and its fields: `NAME[:FLAGS] [FIELD;...]`, as REG and `u:` take it. */

/** A command's parts. */
export interface EventCommand {
  /** Up to the first space; may be empty, and may hold any other byte. */
  readonly name: string;
  /** What follows that space; empty if nothing does. */
  readonly fields: string;
}

/**
 * Takes a command apart.
 *
 * @param command the text, one character a byte
 * @returns its parts, or EINVAL for flags, of which there are none yet
 */
export function parseCommand(command: string): EventCommand | 'EINVAL' {
  const space = command.indexOf(' ');
  const name = space < 0 ? command : command.slice(0, space);
  if (name.includes(':')) return 'EINVAL';
  return { name, fields: space < 0 ? '' : command.slice(space + 1) };
}
