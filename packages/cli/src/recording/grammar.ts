/**
 * The grammar of the commands that need no server: they record, read and show events of programs that declare
 * tracepoints. What they do is in ../commands, and is loaded only when it is called.
 */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { positiveNumber } from '../commands/tree-option.ts';
import { examples } from '../help.ts';
import { eventOption, eventOrProbeOption, filterOption, PATTERN_MEANING, pidsOption } from '../options.ts';
import { DEFINITION_HELP } from '../probes/grammar.ts';
import { durationInMs, sizeInBytes } from './quantities.ts';

/** Where events are recorded when nobody says where: what trace-cmd writes and reads. */
const TRACE_FILE = 'trace.dat';

/** Adds the commands to the program. */
export function addRecordingCommands(program: Command): void {
  addRecord(program);
  addReport(program);
  addDumps(program);
  addTop(program);
}

function addRecord(program: Command): void {
  program
    .command('record')
    .description('record events of programs into a file that trace-cmd and KernelShark read')
    .argument('[command...]', 'a command to run and record, with the processes it starts, after --')
    .addOption(eventOrProbeOption('record only these events', 'all'))
    .addOption(filterOption())
    .addOption(pidsOption('record only this process', 'all'))
    .option('-o, --output <file>', 'the file; what is in it is lost', TRACE_FILE)
    .option('-d, --duration <time>', 'end after so long, such as 10s or 5m', durationInMs)
    .option('--overwrite <size>', 'keep only the newest events, in so many bytes, such as 64M', sizeInBytes)
    .option('--discard', 'when a program is too fast, leave out its new events and not its old ones')
    .option('--json', 'print a summary as one object at the end')
    .option('-q, --quiet', 'print no progress and no summary')
    .passThroughOptions()
    .addHelpText(
      'after',
      `${examples(
        ['usertrace record', 'everything that your programs write, until Ctrl-C'],
        ['usertrace record -e "http_*" -e db_query -p 4711', 'some events of one process'],
        ['usertrace record --duration 10s -o slow.dat', 'ten seconds'],
        ['usertrace record --overwrite 64M', 'a flight recorder: the last 64 MiB'],
        ['usertrace record -- node service.js', 'a program from its start to its end'],
        ["usertrace record -e 'p:app/work ./server:work id=%di' -- ./server", 'calls of a function'],
      )}
Programs that declare tracepoints (@usertrace/tracepoint) are found by themselves, also those that start
later; they need no flag and no restart. Their events are off again when the recording ends.
With a command, ends when it ends, with its exit status. The file can be read at any moment, also after
the recorder was killed; \`usertrace recover FILE\` finishes it then.
A PATTERN is ${PATTERN_MEANING}.
${DEFINITION_HELP}`,
    )
    .action(async (command: string[], { event, duration, ...options }) => {
      const { record } = await import('../commands/record.ts');
      process.exitCode = await record(command, { ...options, durationMs: duration, event: event ?? ['*'] });
    });
}

function addReport(program: Command): void {
  program
    .command('report')
    .description('print the events of a trace.dat file as trace-cmd does')
    .argument('[file]', 'the file', TRACE_FILE)
    .addOption(eventOption('print only these events'))
    .addOption(pidsOption('print only events of this thread'))
    .option('--from <seconds>', 'leave out what is before this time, as it is printed', timeInNs)
    .option('--to <seconds>', 'leave out what is at this time and after', timeInNs)
    .option('--json', 'print one object a line')
    .addHelpText(
      'after',
      examples(
        ['usertrace report', 'what is in trace.dat'],
        ['usertrace report slow.dat -e "http_*" --from 2960.4', 'a part of a file'],
        ['usertrace report --json | jq -r .fields.url', ''],
      ),
    )
    .action(async (file: string, options) => (await import('../commands/report.ts')).report(file, options));
}

function addDumps(program: Command): void {
  program
    .command('snapshot')
    .description('write what the flight recorder of a process holds into a file, without stopping it')
    .argument('<pid>', 'the process', positiveNumber)
    .option('-o, --output <file>', 'the file (default: trace-PID.dat)')
    .addOption(eventOption('only these events'))
    .option('--json', 'print an object')
    .addHelpText(
      'after',
      examples(
        ['usertrace enable --pid 4711 "*"', 'switch the flight recorder on'],
        ['usertrace snapshot 4711', 'and look at it whenever something happened'],
        ['usertrace report trace-4711.dat', ''],
      ),
    )
    .action(async (pid: number, options) => (await import('../commands/snapshot.ts')).snapshot(pid, options));
  program
    .command('recover')
    .description('write the last events of processes that died into files, and clean up after them')
    .argument('[file...]', 'recordings whose recorder died, to be finished instead')
    .option('-o, --output <dir>', 'where the files go, named trace-PID.dat', '.')
    .option('--keep', 'leave what the processes left, to recover it again')
    .option('--json', 'print one object a line')
    .addHelpText(
      'after',
      examples(
        ['usertrace recover', 'what programs left that were killed'],
        ['usertrace recover -o /var/tmp/crashes --keep', ''],
        ['usertrace recover trace.dat', 'a recording whose recorder was killed'],
      ),
    )
    .action(async (files: string[], options) =>
      (await import('../commands/recover.ts')).recover(files, options),
    );
}

function addTop(program: Command): void {
  program
    .command('top')
    .description('show how many events processes write, by process and event')
    .addOption(eventOrProbeOption('count only these events', 'all'))
    .addOption(filterOption())
    .addOption(pidsOption('count only this process', 'all'))
    .addOption(
      new Option('-i, --interval <time>', 'how often to show them, such as 500ms')
        .argParser(durationInMs)
        .default(1000, '1s'),
    )
    .option('--once', 'show one interval and end')
    .option('--json', 'print an object for each interval')
    .addHelpText(
      'after',
      `${examples(
        ['usertrace top', ''],
        ['usertrace top -e "http_*" -i 5s', ''],
        ['usertrace top --once --json | jq .events', ''],
      )}\nThe events are on while they are counted. On a terminal, q ends it.\n`,
    )
    .action(async ({ event, interval, ...options }) =>
      (await import('../commands/top.ts')).top({ ...options, intervalMs: interval, event: event ?? ['*'] }),
    );
}

/** An instant as reports print it, in seconds; returns nanoseconds. */
function timeInNs(text: string): bigint {
  const [, seconds, fraction = ''] = /^(\d{1,10})(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  if (seconds === undefined) throw new InvalidArgumentError('It must be seconds, such as 2960.490374.');
  return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
}
