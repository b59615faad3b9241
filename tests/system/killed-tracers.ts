/** Programs that go on answering while their tracers are killed. */
import { expect, onTestFinished } from 'vitest';
import { Child } from '../support/child.ts';
import { inRepository } from '../support/repository.ts';
import { delay, until } from '../support/wait.ts';
import { disturbedThreads } from './utrace-fixture.ts';

/** For what takes no time on a machine that has nothing else to do. */
export const PATIENCE_MS = 60_000;

/** A program of tests/programs that answers each line of its input with one. Node is not its parent, and can trace it. */
export class Answering {
  readonly pid: number;
  /** What it said behind `ready`. */
  readonly words: string;
  readonly #shell: Child;

  private constructor(shell: Child, pid: number, words: string) {
    this.#shell = shell;
    this.pid = pid;
    this.words = words;
  }

  static async start(program: string, ...args: readonly string[]): Promise<Answering> {
    const inner = `sh -c 'echo "pid $$"; exec "$@"' sh "$@"`;
    const line = `exec 3<&0; ${inner} <&3 & wait $!; echo "status $?"`;
    const shell = new Child('sh', ['-c', line, 'sh', program, ...args]);
    const pid = Number((await shell.line(/^pid /u)).slice(4));
    onTestFinished(async () => {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
      await shell.kill();
    });
    return new Answering(shell, pid, (await shell.line(/^ready/u)).slice('ready '.length));
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
}

/**
 * A tracer's life and death by SIGKILL.
 *
 * @param script of tests/programs
 * @param lifeMs from its sign to its death
 */
export async function killedTracer(
  script: string,
  args: readonly (string | number)[],
  lifeMs: number,
  sign: RegExp = /^begin/u,
): Promise<void> {
  const program = inRepository('tests', 'programs', script);
  const tracer = new Child(process.execPath, [program, ...args.map(String)]);
  await tracer.line(sign, PATIENCE_MS);
  await delay(lifeMs);
  await tracer.kill('SIGKILL');
  expect(tracer.stderr).toBe('');
}

export async function untilUntouched(pid: number): Promise<void> {
  await until(`process ${pid} runs untraced`, () => disturbedThreads(pid).length === 0, PATIENCE_MS);
}
