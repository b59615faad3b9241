/**
 * A child process whose standard output is read by the line.
 *
 * The one who starts it owns it: `kill` or `end` must be called, or it outlives the test.
 */
import {
  type ChildProcessWithoutNullStreams,
  spawn,
  type SpawnOptionsWithoutStdio,
} from 'node:child_process';

const LINE_TIMEOUT_MS = 60_000;

/** How a process ended: its status, or the signal that ended it. */
export interface Ending {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running program. */
export class Child {
  readonly pid: number;
  /** Resolves when the process has ended and its output is complete; never rejects. */
  readonly ended: Promise<Ending>;
  /** All lines that were read so far. */
  readonly lines: string[] = [];
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #waiting = new Set<() => void>();
  #stderr = '';
  #unfinished = '';
  #taken = 0;
  #hasEnded = false;

  /**
   * @param command the program
   * @param args its arguments
   * @param options as of child_process.spawn
   * @throws {Error} when the program cannot be started at all
   */
  constructor(command: string, args: readonly string[] = [], options: SpawnOptionsWithoutStdio = {}) {
    this.#process = spawn(command, args, { ...options, stdio: 'pipe' });
    if (this.#process.pid === undefined) {
      this.#process.on('error', () => undefined);
      throw new Error(`Cannot start "${command}"`);
    }
    this.pid = this.#process.pid;
    this.#process.stdout.setEncoding('utf8').on('data', (text: string) => this.#take(text));
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.#process.stdin.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      this.#process.on('close', (status, signal) => {
        this.#hasEnded = true;
        if (this.#unfinished !== '') this.lines.push(this.#unfinished);
        for (const wake of this.#waiting) wake();
        resolve({ status, signal });
      });
    });
  }

  /** Everything written to standard error so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /**
   * The first line not yet taken.
   *
   * @param pattern skip lines until one matches
   * @throws {Error} when the process ends first, or prints no such line in time
   */
  async line(pattern: RegExp = /^/, timeoutMs: number = LINE_TIMEOUT_MS): Promise<string> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      while (this.#taken < this.lines.length) {
        const line = this.lines[this.#taken++];
        if (line !== undefined && pattern.test(line)) return line;
      }
      const seen = `it printed:\n${this.lines.join('\n')}\n${this.#stderr}`;
      if (this.#hasEnded) throw new Error(`Cannot read ${pattern} from ${this.pid}: it has ended; ${seen}`);
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new Error(`Cannot read ${pattern} from ${this.pid} in ${timeoutMs} ms; ${seen}`);
      await this.#anyOutput(leftMs);
    }
  }

  /** Writes one line to its standard input. */
  say(line: string): void {
    this.#process.stdin.write(`${line}\n`);
  }

  /** Closes its standard input and waits for the end. */
  async end(): Promise<Ending> {
    this.#process.stdin.end();
    return this.ended;
  }

  /** Sends a signal, and waits for the end. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Ending> {
    this.#process.kill(signal);
    return this.ended;
  }

  #take(text: string): void {
    const pieces = (this.#unfinished + text).split('\n');
    this.#unfinished = pieces.pop() ?? '';
    this.lines.push(...pieces);
    for (const wake of this.#waiting) wake();
  }

  #anyOutput(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, timeoutMs);
      this.#waiting.add(wake);
    });
  }
}

/** What a finished program printed and how it ended. */
export interface Finished extends Ending {
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end.
 *
 * @param timeoutMs after that long it is killed, and `signal` says SIGKILL
 */
export async function finish(
  command: string,
  args: readonly string[] = [],
  options: SpawnOptionsWithoutStdio & { timeoutMs?: number; input?: string } = {},
): Promise<Finished> {
  const { timeoutMs = LINE_TIMEOUT_MS, input, ...rest } = options;
  const child = new Child(command, args, rest);
  const timer = setTimeout(() => void child.kill(), timeoutMs);
  if (input !== undefined) child.say(input.replace(/\n$/, ''));
  const ending = await child.end();
  clearTimeout(timer);
  return { ...ending, stdout: child.lines.map((line) => `${line}\n`).join(''), stderr: child.stderr };
}
