/** The grammar of `usertrace watch`. What it does is in ../commands/watch.ts, and is loaded only when it is called. */
import { type Command, Option } from 'commander';
import { examples } from '../help.ts';
import { pidsOption, repeated, STATUS_MEANING } from '../options.ts';

/** Adds the command to the program. */
export function addWatch(program: Command): void {
  program
    .command('watch')
    .description(
      'print what happens to a process and its children: births, execs, ends, signals, system calls',
    )
    .argument('[command...]', 'a command to run and watch, after --')
    .addOption(pidsOption('watch a process that runs, with all its threads'))
    .addOption(
      repeated(
        new Option(
          '-e, --events <list>',
          'clone, exec, exit, signal, syscall, syscall:NAME; may be given again (default: the first four)',
        ),
      ),
    )
    .option(
      '-o, --output <file>',
      'write the events to a trace.dat file, with tracepoints of the same processes',
    )
    .option('--summary', 'print no events; count them, and calls, time and errors by system call')
    .option('--json', 'print one object a line; with --summary one object')
    .option('--no-filter', 'make every system call stop, also when only some are watched')
    .passThroughOptions()
    .addHelpText(
      'after',
      `${examples(
        ['usertrace watch -p 4711', 'a process and what it starts, until Ctrl-C'],
        ['usertrace watch -e syscall -- ls', 'every system call of a command'],
        ['usertrace watch -e syscall:openat,close -- ./service', 'two system calls'],
        ['usertrace watch --summary -- make', 'where the time goes'],
        ['usertrace watch -e exec,exit -o build.dat -- make', 'for trace-cmd and KernelShark'],
      )}
Events go to stderr; stdin and stdout are the command's. Times are seconds of CLOCK_MONOTONIC.
With a command, ends when it and all that it started have ended, with its exit status: ${STATUS_MEANING}.
Ctrl-C goes to the command. With -p, Ctrl-C lets the processes go, and they run on.
"signal" has job control stops as well. Behind syscall:NAME a bare name is another system call, unless
it is an event: write syscall:clone for that call. Times of a summary are from a call's entry to its
answer, waiting included.
When only some system calls of a command are watched, a seccomp filter lets all others run at full
speed. The kernel does not take a filter back: if this command is killed with SIGKILL, the calls that
it watched fail with ENOSYS. --no-filter avoids that.
A process that is watched otherwise runs on whatever happens to this command. Unless root watches,
set-user-ID programs that are executed meanwhile get no rights: the kernel gives none to traced programs.
`,
    )
    .action(async (command: string[], options) => {
      const { watch } = await import('../commands/watch.ts');
      process.exitCode = await watch(command, options);
    });
}
