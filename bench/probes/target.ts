/** The program that is probed, running: bench/probes/target.c. Whoever starts it ends it. */
import { cProgram } from '../../tests/support/c-programs.ts';
import { Child } from '../../tests/support/child.ts';
import { spreadOf } from '../measurement.ts';

const ROUND_TIMEOUT_MS = 60_000;

/** What is called, how, and how often. */
export interface Round {
  /** `probed_long` takes jumps, `probed_short` does not. */
  readonly call: 'probed_long' | 'probed_short';
  readonly threads: number;
  /** Of each thread, in each burst. */
  readonly calls: number;
  readonly bursts: number;
}

export class Target {
  static readonly program: string = cProgram('bench/probes/target.c');
  readonly pid: number;
  readonly #shell: Child;

  /** Node waits for its own children and would disturb tracing, so a shell is between. */
  static async start(): Promise<Target> {
    const shell = new Child('sh', ['-c', 'exec 3<&0; "$0" <&3 & echo "pid $!"; wait', Target.program]);
    const line = await shell.line(/^pid /u);
    return new Target(shell, Number(line.slice('pid '.length)));
  }

  private constructor(shell: Child, pid: number) {
    this.#shell = shell;
    this.pid = pid;
  }

  /**
   * @param afterBurst called between bursts
   * @returns nanoseconds of a call: the median of the bursts
   * @throws {Error} when the program ends, or is not ready in time
   */
  async run({ call, threads, calls, bursts }: Round, afterBurst?: () => void): Promise<number> {
    const samples: number[] = [];
    for (let burst = 0; burst < bursts; burst++) {
      this.#shell.say([call, threads, calls].join(' '));
      samples.push(Number(await this.#shell.line(/^[\d.]+$/u, ROUND_TIMEOUT_MS)));
      afterBurst?.();
    }
    return spreadOf(samples).median;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#shell.end();
  }
}
