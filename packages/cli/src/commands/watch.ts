/** `usertrace watch`: what happens to processes and their children, live, through engines of @usertrace/utrace. */

import { seccompFilter, systemCallName, type TaskEnd } from '@usertrace/abi';
import { openUtrace, type ProcessEngine, type Utrace } from '@usertrace/utrace';
import { errorCode, EXIT, Failure } from '../failure.ts';
import { isInForeground, TERMINAL_SIGNALS } from '../recording/followed-command.ts';
import { counted } from '../recording/quantities.ts';
import { checkCommand, exitCodeOfStartError } from '../run/command.ts';
import { givenEnvironment, givenWords } from '../run/given-texts.ts';
import { RELAYED_SIGNALS } from '../run/signals.ts';
import { JsonOutput } from '../watch/json-output.ts';
import { LineBatch } from '../watch/line-batch.ts';
import { EVENT_KINDS, filterNumbers, parseSelection, type Selection } from '../watch/selection.ts';
import { Summary } from '../watch/summary.ts';
import { TextOutput } from '../watch/text-output.ts';
import type { WatchRecording } from '../watch/watch-recording.ts';
import type { EventOutput } from '../watch/watch-event.ts';
import { Watcher } from '../watch/watcher.ts';

/** Signals that end a watch of processes that run. */
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What `usertrace watch` was asked for. */
export interface WatchOptions {
  readonly pid?: readonly number[];
  readonly events?: readonly string[];
  readonly output?: string;
  readonly summary?: true;
  readonly json?: true;
  /** Whether a seccomp filter may be used. */
  readonly filter: boolean;
}

/**
 * Watches until all that is watched has ended, or the user ends it.
 *
 * @param command what to run and watch; empty with `pid`
 * @returns the exit code: the command's, if there is one
 * @throws {Failure} for a wrong use, and a command that cannot be run
 * @throws {ErrnoError} when a process cannot be attached to, or the file not be written; then nothing is attached
 */
export async function watch(command: readonly string[], options: WatchOptions): Promise<number> {
  if (command.length > 0 === (options.pid !== undefined))
    throw new Failure('name either processes with -p, or a command after --; see --help', EXIT.usage);
  const selection = parseSelection(options.events ?? defaultEvents(options));
  const [program] = givenWords(command);
  if (program !== undefined) checkCommand(program);
  // Most of what it needs is for -o alone.
  const recordings = options.output === undefined ? undefined : await import('../watch/watch-recording.ts');
  return new Watch(selection, options, recordings?.WatchRecording).run(command);
}

/** A summary without a choice is of everything. */
function defaultEvents({ summary }: WatchOptions): string[] {
  return [...EVENT_KINDS, ...(summary ? ['syscall'] : [])];
}

class Watch {
  readonly #options: WatchOptions;
  readonly #recordings: typeof WatchRecording | undefined;
  readonly #selection: Selection;
  readonly #utrace: Utrace = openUtrace({
    failed: (_, reason) => this.#fail(reason),
  });
  readonly #watcher: Watcher;
  readonly #outputs: EventOutput[] = [];
  readonly #lines = new LineBatch((text) => process.stderr.write(text));
  readonly #text: TextOutput | undefined;
  readonly #summary: Summary | undefined;
  readonly #ends = new Map<number, TaskEnd>();
  readonly #stop = new AbortController();
  #recording: WatchRecording | undefined;
  #failure: unknown;
  /** The user was told what ending it now would do. */
  #hasWarned = false;

  constructor(selection: Selection, options: WatchOptions, recordings?: typeof WatchRecording) {
    this.#options = options;
    this.#recordings = recordings;
    this.#selection = selection;
    const showsLines = options.summary === undefined && options.output === undefined;
    if (showsLines && options.json) this.#outputs.push(new JsonOutput(this.#lines));
    else if (showsLines) this.#outputs.push((this.#text = new TextOutput(this.#lines)));
    if (options.summary) this.#outputs.push((this.#summary = new Summary()));
    this.#watcher = new Watcher({
      selection,
      outputs: this.#outputs,
      wantsArguments: showsLines || options.output !== undefined,
      ended: (pid, end) => this.#ends.set(pid, end),
      failed: (reason) => this.#fail(reason),
    });
  }

  async run(command: readonly string[]): Promise<number> {
    let exitCode: number = EXIT.ok;
    try {
      if (command.length > 0) exitCode = await this.#watchCommand(command);
      else await this.#watchProcesses(this.#options.pid ?? []);
    } catch (error) {
      this.#failure ??= error;
    }
    // Whatever happened, nothing stays stopped.
    try {
      await this.#utrace.close();
    } catch (error) {
      this.#failure ??= error;
    }
    this.#watcher.flush();
    this.#text?.end();
    this.#lines.flush();
    await this.#finishRecording();
    if (this.#failure !== undefined) throw this.#failure;
    this.#printSummary();
    return exitCode;
  }

  async #watchProcesses(pids: readonly number[]): Promise<void> {
    for (const pid of new Set(pids)) {
      const group = this.#attach(pid);
      this.#watcher.note(group.engines.keys());
      this.#say(`watching process ${pid}, ${counted(group.engines.size, 'thread')}; Ctrl-C lets it go`);
    }
    this.#beginRecording();
    const end = (): void => this.#stop.abort();
    for (const signal of ENDING_SIGNALS) process.once(signal, end);
    await this.#untilOver();
    for (const signal of ENDING_SIGNALS) process.off(signal, end);
  }

  #attach(pid: number): ProcessEngine {
    try {
      return this.#utrace.attach(pid, this.#watcher.callbacks, {
        events: this.#watcher.events,
        follow: true,
      });
    } catch (error) {
      if (errorCode(error) !== 'ESRCH') throw error;
      throw new Failure(`cannot watch process ${pid}: there is none, or it has ended`);
    }
  }

  async #watchCommand(words: readonly string[]): Promise<number> {
    const numbers = this.#options.filter ? filterNumbers(this.#selection) : undefined;
    this.#beginRecording();
    let group: ProcessEngine | undefined;
    const passOn = (signal: NodeJS.Signals): void => {
      if (group === undefined) return;
      if (!this.#ends.has(group.tgid)) {
        if (!(TERMINAL_SIGNALS.has(signal) && isInForeground())) sendSignal(group.tgid, signal);
      } else this.#leave(numbers);
    };
    // Before there is a command that could make somebody send one: SIGUSR1 would start a debugger here.
    for (const signal of RELAYED_SIGNALS) process.on(signal, passOn);
    try {
      const filter = numbers === undefined ? {} : { filter: seccompFilter(numbers) };
      const [program = '', ...args] = givenWords(words);
      const env = givenEnvironment(this.#recording?.environment);
      // Node has its own three descriptors close at exec; named, they are given on.
      group = this.#start({ command: program, args, env, stdio: [0, 1, 2], ...filter });
      await this.#untilOver();
    } finally {
      for (const signal of RELAYED_SIGNALS) process.off(signal, passOn);
    }
    const end = this.#ends.get(group.tgid);
    if (end === undefined) return EXIT.failure;
    return end.signal === undefined ? (end.code ?? EXIT.failure) : EXIT.signalBase + end.signal;
  }

  #start(launch: Parameters<Utrace['spawn']>[0]): ProcessEngine {
    try {
      return this.#utrace.spawn(launch, this.#watcher.callbacks, {
        events: this.#watcher.events,
        follow: true,
      });
    } catch (error) {
      throw new Failure(error instanceof Error ? error.message : String(error), exitCodeOfStartError(error));
    }
  }

  /** The command has ended and left others, and the user wants to end. */
  #leave(numbers: readonly number[] | undefined): void {
    if (numbers === undefined || this.#hasWarned) {
      this.#stop.abort();
      return;
    }
    this.#hasWarned = true;
    const names = numbers.slice(0, 3).map(systemCallName).join(', ');
    this.#say(
      `${counted(this.#watcher.taskCount, 'thread')} of what the command left need this watch: without it their calls of ` +
        `${names}${numbers.length > 3 ? ', ...' : ''} fail with ENOSYS; end them, or ask again to leave them so`,
    );
  }

  /** Until all has ended, or somebody ends it. */
  async #untilOver(): Promise<void> {
    const { signal } = this.#stop;
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    const recording = this.#recording?.run(signal).catch((error: unknown) => this.#fail(error));
    await Promise.race([this.#utrace.untilEmpty(), stopped]);
    this.#stop.abort();
    await recording;
  }

  /** Something is wrong on our side: a process is let go, and a command, which may need us, runs on with nothing written. */
  #fail(reason: unknown): void {
    this.#failure ??= reason;
    this.#outputs.length = 0;
    if (this.#options.pid !== undefined) this.#stop.abort();
  }

  #beginRecording(): void {
    const { output } = this.#options;
    if (output === undefined || this.#recordings === undefined) return;
    this.#recording = this.#recordings.begin(
      output,
      (pid) => this.#watcher.hasSeen(pid),
      (message) => this.#say(message),
    );
    this.#outputs.push(this.#recording.events);
  }

  async #finishRecording(): Promise<void> {
    const recording = this.#recording;
    if (recording === undefined) return;
    if (this.#failure !== undefined) {
      recording.abandon();
      return;
    }
    this.#say(await recording.finish());
  }

  #printSummary(): void {
    const summary = this.#summary;
    if (summary === undefined) return;
    const { calls, events } = summary;
    process.stderr.write(this.#options.json ? `${JSON.stringify({ calls, events })}\n` : summary.text());
  }

  #say(message: string): void {
    if (this.#options.json) return;
    this.#lines.add(`usertrace: ${message}`);
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended just now.
  }
}
