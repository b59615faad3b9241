/** A program of tests/programs that answers each line of its input with one. */
import { Child } from './child.ts';

/** For what takes no time on a machine that has nothing else to do. */
export const PATIENCE_MS = 60_000;

/** It runs until `end` or `kill`. Node is not its parent, and can trace it. */
export class AnsweringProgram {
  readonly pid: number;
  /** What it said behind `ready`. */
  readonly words: string;
  readonly #shell: Child;

  private constructor(shell: Child, pid: number, words: string) {
    this.#shell = shell;
    this.pid = pid;
    this.words = words;
  }

  static async start(program: string, ...args: readonly string[]): Promise<AnsweringProgram> {
    const inner = `sh -c 'echo "pid $$"; exec "$@"' sh "$@"`;
    const line = `exec 3<&0; ${inner} <&3 & wait $!; echo "status $?"`;
    const shell = new Child('sh', ['-c', line, 'sh', program, ...args]);
    const pid = Number((await shell.line(/^pid /u)).slice(4));
    return new AnsweringProgram(shell, pid, (await shell.line(/^ready/u)).slice('ready '.length));
  }

  /** @returns the answer, or `status N` if that was its end */
  async ask(question: string): Promise<string> {
    this.#shell.say(question);
    return this.#shell.line(/^/u, PATIENCE_MS);
  }

  /** @returns what it printed since the last answer, to its end */
  async end(): Promise<string[]> {
    const before = this.#shell.lines.length;
    await this.#shell.end();
    return this.#shell.lines.slice(before);
  }

  /** Ends it where it is, if it runs. */
  async kill(): Promise<void> {
    try {
      process.kill(this.pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
    await this.#shell.kill();
  }
}
