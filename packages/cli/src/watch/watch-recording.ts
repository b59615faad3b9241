/** `WatchRecording`: the file of `-o`: what is watched, and the tracepoints of the processes that are watched, on one clock. */
import { Recording } from '@usertrace/recording';
import { errorCode, Failure } from '../failure.ts';
import { anyEventMatcher } from '../pattern.ts';
import { counted } from '../recording/quantities.ts';
import { TurnLoop } from '../recording/turns.ts';
import { readVersion } from '../version.ts';
import { watchFormats } from './trace-events.ts';
import { TraceOutput } from './trace-output.ts';

/** The longest time between two turns, in milliseconds. */
const PAUSE_MAX_MS = 50;
const ALL = ['*'];

export class WatchRecording {
  /** What a command gets besides our environment: its tracepoints are on from its start. */
  readonly environment: Readonly<Record<string, string>> = { USERTRACE_ENABLE: '*' };
  /** Where what is watched goes. */
  readonly events: TraceOutput;
  readonly #path: string;
  readonly #recording: Recording;
  readonly #loop: TurnLoop;

  private constructor(path: string, recording: Recording, loop: TurnLoop) {
    this.#path = path;
    this.#recording = recording;
    this.#loop = loop;
    this.events = new TraceOutput(recording.addLane(watchFormats()));
  }

  /**
   * Begins a file; what is in it is lost.
   *
   * @param isWatched whether a process's tracepoints are recorded; asked when it declares some
   * @param warn told of what cannot be recorded
   * @throws {Failure} when the file cannot be written
   */
  static begin(
    path: string,
    isWatched: (pid: number) => boolean,
    warn: (message: string) => void,
  ): WatchRecording {
    const loop = new TurnLoop();
    try {
      const recording = new Recording({
        path,
        version: readVersion(),
        patterns: ALL,
        matches: anyEventMatcher(ALL),
        mode: 'overwrite',
        wantsProcess: isWatched,
        onNews: loop.wake,
        warn,
        beginning: process.hrtime.bigint(),
      });
      return new WatchRecording(path, recording, loop);
    } catch (error) {
      throw explained(error, path);
    }
  }

  /** Writes what there is, again and again, until it is told to stop. */
  async run(stop: AbortSignal): Promise<void> {
    try {
      await this.#loop.run(() => this.#turn(), stop);
    } catch (error) {
      throw explained(error, this.#path);
    }
  }

  /** Writes the rest, and makes the file one that all readers know. Returns what to tell the user. */
  async finish(): Promise<string> {
    try {
      this.#turn();
      this.events.end();
      const { state } = await this.#recording.finish();
      const { events, lost } = this.events;
      const own = this.#recording.totals.events;
      const besides = own === 0 ? '' : ` and ${counted(own, 'event')} of tracepoints`;
      const missing = lost === 0 ? '' : `, ${counted(lost, 'event')} lost`;
      const rest = state === 'unfinished' ? '; `usertrace recover` makes it a file of version 6' : '';
      return `${counted(events, 'event')}${besides} in ${this.#path}${missing}; \`usertrace report ${this.#path}\` shows them${rest}`;
    } catch (error) {
      this.abandon();
      throw explained(error, this.#path);
    }
  }

  /** Leaves the file as it is. */
  abandon(): void {
    this.#recording.abandon();
  }

  #turn(): number {
    this.events.turn();
    return Math.min(PAUSE_MAX_MS, this.#recording.turn());
  }
}

function explained(error: unknown, path: string): unknown {
  const code = errorCode(error);
  if (error instanceof Failure || code === undefined) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new Failure(`cannot write ${path}: the disk is full; what was recorded before is in it`);
  return new Failure(`cannot write ${path}: ${code}; name another file with -o`);
}
