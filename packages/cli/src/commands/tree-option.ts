/** The options that say which tree a command works on, the same for all of them. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { findTree } from '../tree/find.ts';
import { MountedTree } from '../tree/mounted-tree.ts';

/** What --mount and --pid were given. */
export interface TreeOptions {
  readonly mount?: string;
  readonly pid?: number;
}

/** Adds --mount and --pid to a command, which begins only when their tree answers. */
export function withTreeOptions(command: Command): Command {
  return command
    .hook('preAction', async () => {
      const { refuseSilentTrees } = await import('../tree/silent-tree.ts');
      refuseSilentTrees(command.opts<TreeOptions>());
    })
    .addOption(
      new Option(
        '-m, --mount <dir>',
        'the tree of the server (default: $USERTRACE_MOUNT, else where serve mounts)',
      ),
    )
    .addOption(
      new Option(
        '-p, --pid <pid>',
        'the tree that this process sees, such as a program under `usertrace run`',
      )
        .argParser((text) => positiveNumber(text))
        .conflicts('mount'),
    );
}

/** @throws {Failure} when no server is found */
export function chosenTree(options: TreeOptions): MountedTree {
  return new MountedTree(findTree(options));
}

/**
 * Reads an option's number: a whole one above 0.
 *
 * @throws {InvalidArgumentError} for anything else
 */
export function positiveNumber(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1 up.');
  return Number(text);
}
