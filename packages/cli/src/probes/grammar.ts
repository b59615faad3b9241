/** The grammar of `usertrace probe`. */

import type { Command } from 'commander';
import { examples } from '../help.ts';
import { filterOption, PATTERN_MEANING, pidsOption } from '../options.ts';

/** What a definition is, for the help texts of all commands that take one. */
export const DEFINITION_HELP = `
A DEFINITION is what the kernel's uprobe_events takes, with function names:
  p[:[GROUP/]EVENT] PATH:FUNCTION[+OFFSET] [NAME=ARGUMENT[:TYPE]]...   an instruction
  p[:[GROUP/]EVENT] PATH:0xOFFSET          [NAME=ARGUMENT[:TYPE]]...   the same by its place in the file
  r[:[GROUP/]EVENT] PATH:FUNCTION          [NAME=ARGUMENT[:TYPE]]...   a return, also PATH:FUNCTION%return
  sdt:[PATH:]PROVIDER:NAME                                             static probe sites
ARGUMENT is %REGISTER, $stack, $stackN, $retval, $comm, @ADDRESS, +OFFSET(ARGUMENT) for what it points to, or \\NUMBER.
TYPE is u8 to u64, s8 to s64, x8 to x64, char, string, bN@B/S, or one of these with [COUNT].
`;

/** Adds `probe` and its subcommands to the program. */
export function addProbeCommands(program: Command): void {
  const probe = program
    .command('probe')
    .description('put probes on functions and instructions of running programs')
    .addHelpText(
      'after',
      `${examples(
        ['usertrace probe add "p:app/work ./server:handle_request id=%di"', 'until it is removed'],
        ['usertrace record -e "app:*"', 'record it'],
        ['usertrace probe list', 'where it is, and how'],
        ['usertrace probe remove app:work', ''],
      )}
For one run only, give the definition to \`usertrace record\`, \`top\` or \`trace\` with -e.
${DEFINITION_HELP}`,
    );
  addAdd(probe);
  addList(probe);
  addRemove(probe);
  addFunctions(probe);
}

function addAdd(probe: Command): void {
  probe
    .command('add')
    .description('add probes that stay until they are removed, and print their events')
    .argument('<definition...>', 'what to probe')
    .addOption(pidsOption('only in this process and the children it will have', 'all that map the file'))
    .addOption(filterOption())
    .addHelpText(
      'after',
      `${examples(
        ["usertrace probe add 'p:app/work ./server:handle_request id=%di:u32'", ''],
        ["usertrace probe add -p 4711 'r:app/done ./server:handle_request rc=$retval:s32'", ''],
        ["usertrace probe add 'p:libc/open /lib/x86_64-linux-gnu/libc.so.6:open path=+0(%di):string'", ''],
        ['usertrace probe add sdt:libstdcxx:throw', 'every site of that name'],
      )}
While nobody listens to its event, a probe is in no program: \`usertrace record\` puts it there.
${DEFINITION_HELP}`,
    )
    .action(async (definitions: string[], options) =>
      (await import('../commands/probe.ts')).addProbes(definitions, options),
    );
}

function addList(probe: Command): void {
  probe
    .command('list')
    .description('show the probes: hits, and how each is served in which process, or why not')
    .option('--json', 'print an array of objects')
    .addHelpText(
      'after',
      examples(['usertrace probe list', ''], ['usertrace probe list --json | jq .[].hits', '']),
    )
    .action(async (options) => (await import('../commands/probe.ts')).listProbes(options));
}

function addRemove(probe: Command): void {
  probe
    .command('remove')
    .description('remove probes, and print which')
    .argument('[pattern...]', PATTERN_MEANING)
    .option('--all', 'all that were added')
    .addHelpText(
      'after',
      examples(['usertrace probe remove app:work', ''], ['usertrace probe remove --all', '']),
    )
    .action(async (patterns: string[], options) =>
      (await import('../commands/probe.ts')).removeProbes(patterns, options),
    );
}

function addFunctions(probe: Command): void {
  probe
    .command('functions')
    .description('list the functions of a program or library that can be probed by name')
    .argument('<path>', 'the file')
    .argument('[text]', 'only those that have this in their name')
    .option('--json', 'print an array of objects')
    .addHelpText(
      'after',
      `${examples(
        ['usertrace probe functions ./server request', ''],
        ['usertrace probe functions /lib/x86_64-linux-gnu/libc.so.6 open', ''],
      )}
Names of C++ and Rust functions are shown as the source has them, behind the name that a definition takes.
`,
    )
    .action(async (path: string, text: string | undefined, options) =>
      (await import('../commands/probe-functions.ts')).listFunctions(path, text, options),
    );
}
