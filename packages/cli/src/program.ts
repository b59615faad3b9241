/**
 * The grammar of the command line: every command, its options, help and examples. What a command does is in
 * commands/, and is loaded only when it is called, so that `serve` starts fast.
 */

import { Command, InvalidArgumentError } from 'commander';
import { positiveNumber, withTreeOptions } from './commands/tree-option.ts';
import { EXIT, Failure } from './failure.ts';
import { examples } from './help.ts';
import {
  eventOrProbeOption,
  filterOption,
  followOption,
  PATTERN_MEANING,
  STATUS_MEANING,
} from './options.ts';
import { addProbeCommands, DEFINITION_HELP } from './probes/grammar.ts';
import { addRecordingCommands } from './recording/grammar.ts';
import { KERNEL_TREE } from './tree/find.ts';
import { readVersion } from './version.ts';
import { addWatch } from './watch/grammar.ts';

/** The most events a server may be told to hold: they are numbered in 16 bits. */
const MAX_EVENTS_LIMIT = 60_000;

/** The program, ready to parse arguments. Wrong usage throws a CommanderError after its message was printed. */
export function createProgram(): Command {
  const program = new Command('usertrace')
    .description(
      'Looks into running programs without root or kernel options: tracepoints of Node programs, probes on native code, ' +
        "system calls and signals, and the kernel's user_events.",
    )
    .version(readVersion())
    .enablePositionalOptions()
    .showHelpAfterError('(--help shows how it is used)')
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'usertrace: ')),
    })
    .exitOverride()
    .addHelpText(
      'after',
      examples(
        ['usertrace demo', 'see it work in some seconds'],
        ['usertrace record -e "http_*"', 'record events of Node programs that run, until Ctrl-C'],
        ['usertrace report', 'and print them'],
        ["usertrace trace -e 'p ./server:work id=%di'", 'print calls of a function of a native program'],
        ['usertrace watch -p 4711', 'print what a process starts, and how it ends'],
        ['usertrace run -- ./service', 'run a program and print its events'],
        ['usertrace serve', 'serve all programs, until Ctrl-C'],
        ['usertrace enable "req_*"', 'switch its events on, in another terminal'],
        ['usertrace trace -f', 'and watch them'],
      ),
    );
  addServe(program);
  addRun(program);
  addRecordingCommands(program);
  addProbeCommands(program);
  addWatch(program);
  addInspection(program);
  addSwitches(program);
  addTrace(program);
  addDemo(program);
  return program;
}

function addServe(program: Command): void {
  program
    .command('serve')
    .description('mount a tracefs-shaped tree and serve user_events there, until SIGINT or SIGTERM')
    .option('-m, --mount <dir>', 'where to mount; made when it is missing (default: a folder of your own)')
    .option(
      '--mode <octal>',
      'permission bits of the tree, such as 0755 to let others in (default: 0700)',
      fileMode,
    )
    .addOption(followOption('the programs that register'))
    .option('--max-events <n>', 'how many events may exist at once (default: 32768)', eventLimit)
    .addHelpText(
      'after',
      `${examples(
        ['usertrace serve', 'mounts where list, enable and trace look'],
        ['usertrace serve --mount /sys/kernel/tracing', 'so that programs find it, as root'],
        ['usertrace serve --mount /srv/tracing --mode 0755', 'let other users in'],
      )}\nPrints "usertrace: serving user_events at DIR" when programs may open it.\n`,
    )
    .action(async (options) => (await import('./commands/serve.ts')).serve(options));
}

function addRun(program: Command): void {
  program
    .command('run')
    .description(`run a command that sees a ${KERNEL_TREE} of its own, and print the events it writes`)
    .argument('<command...>', 'the command and its arguments, after --')
    .addOption(eventOrProbeOption('record only these events', 'all'))
    .addOption(filterOption())
    .option('-o, --output <file>', 'write the events to a file (default: stderr)')
    .option('-m, --mount <dir>', 'where the command looks for the tree', KERNEL_TREE)
    .addOption(followOption('the command and what it starts, from when they register'))
    .option('-q, --quiet', 'print no summary')
    .passThroughOptions()
    .addHelpText(
      'after',
      `${examples(
        ['usertrace run -- ./service --port 80', 'all events, live'],
        ['usertrace run -e "req_*" -o trace.txt -- ./service', 'some of them, to a file'],
        ["usertrace run -e '*' -e 'p ./service:handle id=%di' -- ./service", 'all, and calls of a function'],
      )}
Needs no root: without it, the command runs in a user namespace, under its own user id.
Ends when the command ends, with its exit status: ${STATUS_MEANING}.
What the command leaves running in the background keeps running, but the tree is gone for it.
A PATTERN is ${PATTERN_MEANING}. \`usertrace probe --help\` has the DEFINITION.
In another terminal, "usertrace list --pid PID" looks into the tree of a running command.
`,
    )
    .action(async (command: string[], { event, ...options }) => {
      const { run } = await import('./commands/run.ts');
      process.exitCode = await run(command, { ...options, event: event ?? ['user_events*:*'] });
    });
}

function addInspection(program: Command): void {
  withTreeOptions(program.command('list'))
    .description('list the events of processes and of a running server: who listens, and their fields')
    .option('--json', 'print an array of objects')
    .addHelpText(
      'after',
      `${examples(
        ['usertrace list', ''],
        ['usertrace list --pid 4711', 'those of one process'],
        ['usertrace list --json | jq .[].event', ''],
      )}
Behind the events of a process stand its listeners: "tracer PID" is a recorder, "standing" the program
itself or \`usertrace enable --pid\`, "kernel" a tracer of user_events.
`,
    )
    .action(async (options) => (await import('./commands/list.ts')).list(options));
  withTreeOptions(program.command('status'))
    .description('show who uses which event of a running server')
    .option('--json', 'print an object')
    .addHelpText('after', examples(['usertrace status', ''], ['usertrace status --json | jq .busyCount', '']))
    .action(async (options) => (await import('./commands/status.ts')).status(options));
}

function addSwitches(program: Command): void {
  const switches = [
    { name: 'enable', isOn: true, words: 'on' },
    { name: 'disable', isOn: false, words: 'off' },
  ];
  for (const { name, isOn, words } of switches) {
    withTreeOptions(program.command(name))
      .description(`switch events of a running server or of a process ${words}, and print which`)
      .argument('<pattern...>', PATTERN_MEANING)
      .addHelpText(
        'after',
        `${examples(
          [`usertrace ${name} tick`, ''],
          [`usertrace ${name} 'user_events:req_*' 'db_?'`, ''],
          [`usertrace ${name} --pid 4711 'http_*'`, "in that process's flight recorder"],
        )}
Returns when the programs have been told. Fails when a pattern means no event.
`,
      )
      .action(async (patterns: string[], options) =>
        (await import('./commands/switch.ts')).switchEvents(patterns, isOn, options),
      );
  }
}

function addTrace(program: Command): void {
  withTreeOptions(program.command('trace'))
    .description('print what a running server has recorded, or with -e events of processes as they come')
    .argument('[command...]', 'with -e: a command to run and trace, with the processes it starts, after --')
    .option('-f, --follow', 'print events as they come, and remove them, until Ctrl-C')
    .option('-n, --count <n>', 'print the last N events; with -f or -e end after N', positiveNumber)
    .option('--clear', 'empty the buffer first; without -f print nothing')
    .addOption(eventOrProbeOption('print these events of processes').conflicts(['mount', 'follow', 'clear']))
    .addOption(filterOption())
    .passThroughOptions()
    .addHelpText(
      'after',
      `${examples(
        ['usertrace trace', 'what the buffer holds'],
        ['usertrace trace -n 20', 'its last 20 events'],
        ['usertrace trace -f --clear', 'only what comes from now on'],
        ['usertrace trace -e "http_*" -p 4711', 'events of one process, without a server'],
        ["usertrace trace -e 'p ./server:handle_request id=%di:u32' -- ./server", 'calls of a function'],
      )}${DEFINITION_HELP}`,
    )
    .action(async (command: string[], { event, ...options }) => {
      if (event === undefined) {
        if (command.length > 0) throw new Failure('a command needs -e; see --help', EXIT.usage);
        await (await import('./commands/trace.ts')).trace(options);
        return;
      }
      const { traceEvents } = await import('./commands/trace-probes.ts');
      const { pid, count, filter } = options;
      process.exitCode = await traceEvents(command, {
        event,
        ...(pid === undefined ? {} : { pid: [pid] }),
        ...(filter === undefined ? {} : { filter }),
        ...(count === undefined ? {} : { count }),
      });
    });
}

function addDemo(program: Command): void {
  program
    .command('demo')
    .description('run a small service that uses user_events, and switch its events on while it runs')
    .addHelpText('after', examples(['usertrace demo', 'takes some seconds and needs no root']))
    .action(async () => {
      process.exitCode = await (await import('./commands/demo.ts')).demo();
    });
}

function fileMode(text: string): number {
  if (!/^0?[0-7]{3}$/.test(text))
    throw new InvalidArgumentError('It must be three octal digits, such as 0750.');
  return Number.parseInt(text, 8);
}

function eventLimit(text: string): number {
  const count = positiveNumber(text);
  if (count > MAX_EVENTS_LIMIT) throw new InvalidArgumentError(`It may be at most ${MAX_EVENTS_LIMIT}.`);
  return count;
}
