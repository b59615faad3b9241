/** `usertrace status`: who uses which event of a running server, and which programs could not be told. */

import { coloursFor } from '../colours.ts';
import { type TreeOptions, chosenTree } from './tree-option.ts';

/** Prints the use of every event, the words that have not its state, and the two counts; with --json as one object. */
export function status(options: TreeOptions & { readonly json?: true }): void {
  const tree = chosenTree(options);
  const report = tree.useReport();
  const unsettled = tree.unsettledWords();
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ mount: tree.folder, ...report, unsettled }, undefined, 2)}\n`);
    return;
  }
  const colours = coloursFor(process.stdout);
  const lines = report.events.map(({ event, users }) =>
    users.length > 0
      ? `${event}  ${colours.green(`used by ${users.join(', ')}`)}`
      : `${event}  ${colours.dim('not used')}`,
  );
  const words = unsettled.map(
    ({ event, address, bit, state, tids }) =>
      `${colours.yellow(state)}: bit ${bit} at ${address} of ${event}, in ${tids.join(', ') || 'no process'}`,
  );
  const summary = `${report.activeCount} active, ${report.busyCount} busy at ${tree.folder}`;
  process.stdout.write([...lines, ...words, summary, ''].join('\n'));
}
