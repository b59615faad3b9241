/**
 * An LTTng session daemon of the benchmark's own, with a session that records the events of lttng-events.c.
 *
 * The session is a flight recorder, as the tracepoints beside it are: snapshot mode, overwriting buffers of 4 MiB for
 * each processor, and nobody reads them. Whoever starts one stops it; every step has a deadline.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { cProgram } from '../../tests/support/c-programs.ts';
import { finish } from '../../tests/support/child.ts';
import { inRepository } from '../../tests/support/repository.ts';
import { missing } from '../../tests/support/requirements.ts';
import { until } from '../../tests/support/wait.ts';
import type { Payload } from './contender.ts';

const COMMAND_TIMEOUT_MS = 15_000;
const READY_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 5_000;
const PROGRAM_TIMEOUT_MS = 60_000;
const SESSION = 'usertrace-bench';
const CHANNEL = 'flight-recorder';

/** Set-up commands of the session, in their order. */
const SET_UP = [
  ['create', SESSION, '--snapshot'],
  ['enable-channel', '-u', '-s', SESSION, CHANNEL, '--overwrite', '--subbuf-size=1M', '--num-subbuf=4'],
  ['enable-event', '-u', '-s', SESSION, '-c', CHANNEL, 'usertrace_bench:*'],
  ['start', SESSION],
];

/** The environment in which a daemon, its commands and its programs find each other. */
function environment(home: string): NodeJS.ProcessEnv {
  return { ...process.env, HOME: home, LTTNG_HOME: home };
}

/** Runs `lttng` and never starts a daemon by that. */
function lttng(home: string, args: readonly string[]): ReturnType<typeof finish> {
  return finish('lttng', ['--no-sessiond', ...args], {
    env: environment(home),
    timeoutMs: COMMAND_TIMEOUT_MS,
  });
}

/** Whether a daemon answers. */
async function hasDaemon(home: string): Promise<boolean> {
  return (await lttng(home, ['list'])).status === 0;
}

/** A session that is on. */
export class LttngSession {
  readonly #home: string;
  readonly #daemon: ChildProcess;
  readonly #program: string;

  private constructor(home: string, daemon: ChildProcess, program: string) {
    this.#home = home;
    this.#daemon = daemon;
    this.#program = program;
  }

  /**
   * Starts the daemon and the session.
   *
   * @returns what the machine lacks when it cannot
   * @throws {Error} when LTTng is there and does not work
   */
  static async start(): Promise<LttngSession | string> {
    const lacking = missing('cc', 'lttng');
    if (lacking !== undefined) return lacking;
    const program = cProgram('bench/tracepoints/lttng-events.c', [
      `-I${inRepository('bench', 'tracepoints')}`,
      '-llttng-ust',
      '-ldl',
    ]);
    const home = await mkdtemp(path.join(tmpdir(), 'usertrace-lttng-'));
    if (await hasDaemon(home)) {
      await rm(home, { recursive: true });
      return 'an LTTng session daemon of this user runs already';
    }
    // A group of its own, because the daemon's consumers must go with it.
    const daemon = spawn('lttng-sessiond', ['--no-kernel'], {
      env: environment(home),
      stdio: 'ignore',
      detached: true,
    });
    daemon.on('error', () => undefined);
    const session = new LttngSession(home, daemon, program);
    try {
      await until('lttng-sessiond answers', () => hasDaemon(home), READY_TIMEOUT_MS);
      for (const command of SET_UP) {
        const { status, stderr } = await lttng(home, command);
        if (status !== 0) throw new Error(`Cannot set up the LTTng session: lttng ${command[0]}: ${stderr}`);
      }
    } catch (error) {
      await session.stop();
      throw error;
    }
    return session;
  }

  /** Nanoseconds of one event, a sample a round. */
  async roundNs(payload: Payload): Promise<number[]> {
    const { status, stdout, stderr } = await finish(this.#program, [payload], {
      env: environment(this.#home),
      timeoutMs: PROGRAM_TIMEOUT_MS,
    });
    if (status !== 0) throw new Error(`lttng-events failed: ${stderr}`);
    return JSON.parse(stdout) as number[];
  }

  /** Takes down the session and the daemon, and kills what does not go. */
  async stop(): Promise<void> {
    await lttng(this.#home, ['destroy', SESSION]);
    const { pid } = this.#daemon;
    if (pid !== undefined) {
      this.#daemon.kill('SIGTERM');
      const hasEnded = (): boolean => this.#daemon.exitCode !== null || this.#daemon.signalCode !== null;
      await until('lttng-sessiond ends', hasEnded, STOP_TIMEOUT_MS).catch(() => {
        process.kill(-pid, 'SIGKILL');
      });
    }
    await rm(this.#home, { recursive: true, force: true });
  }
}
