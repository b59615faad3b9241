/** `usertrace list`: the events of a running server. */

import { coloursFor } from '../colours.ts';
import type { ServedEvent } from '../tree/mounted-tree.ts';
import { type TreeOptions, chosenTree } from './tree-option.ts';

/** Prints every event with its state and fields; with --json as one array. */
export function list(options: TreeOptions & { readonly json?: true }): void {
  const events = chosenTree(options).events();
  if (options.json) process.stdout.write(`${JSON.stringify(events, undefined, 2)}\n`);
  else if (events.length === 0) process.stdout.write('no events: no program has registered one\n');
  else process.stdout.write(eventTable(events));
}

function eventTable(events: readonly ServedEvent[]): string {
  const colours = coloursFor(process.stdout);
  const names = events.map(({ system, event }) => `${system}:${event}`);
  const width = Math.max(...names.map((name) => name.length));
  return events
    .map(({ isEnabled, fields }, index) => {
      const state = isEnabled ? colours.green('on ') : colours.dim('off');
      const declarations = fields.map(({ type, name }) => `${type} ${name}`).join('; ');
      return `${names[index]?.padEnd(width)}  ${state}  ${declarations}`.trimEnd();
    })
    .map((line) => `${line}\n`)
    .join('');
}
