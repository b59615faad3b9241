/** Probes of native programs in a runtime folder of their own, as root or as an ordinary user. */
import { chownSync, existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { cProgramCopy } from './c-programs.ts';
import { Child, finish, type Finished } from './child.ts';
import { USERTRACE } from './server.ts';
import { type ReportedEvent, reportedEvents } from './tracepoints.ts';
import { until } from './wait.ts';

const ORDINARY_USER_ID = 65_534;
const LEFT_TIMEOUT_MS = 60_000;

/** Who runs the commands and the programs. */
export type ProbeUser = 'root' | 'ordinary';

/** What `usertrace probe list --json` says of a probe. */
export interface ListedProbe {
  readonly group: string;
  readonly event: string;
  readonly definition: string;
  readonly client?: number;
  readonly hits: number;
  readonly misses: number;
  readonly processes: readonly {
    readonly pid: number;
    readonly state: string;
    readonly reason?: string;
    readonly hits: number;
  }[];
}

/** A runtime folder, a copy of the target program in it, and what runs with them. */
export class ProbeWorld {
  readonly folder: string;
  /** The target program: tests/programs/probe-target.c, a file that nobody else has mapped. */
  readonly target: string;
  readonly #user: ProbeUser;
  readonly environment: NodeJS.ProcessEnv;
  readonly #children: Child[] = [];

  private constructor(folder: string, user: ProbeUser) {
    this.folder = folder;
    this.target = path.join(folder, 'target');
    this.#user = user;
    this.environment = {
      ...process.env,
      USERTRACE_RUNTIME_DIR: path.join(folder, 'run'),
      LC_ALL: 'C.UTF-8',
    };
  }

  static async make(user: ProbeUser): Promise<ProbeWorld> {
    const world = new ProbeWorld(await mkdtemp(path.join(tmpdir(), 'usertrace-probes-')), user);
    cProgramCopy('tests/programs/probe-target.c', world.folder, 'target');
    mkdirSync(path.join(world.folder, 'run'), { mode: 0o700 });
    if (user === 'ordinary') {
      for (const name of ['', 'run'])
        chownSync(path.join(world.folder, name), ORDINARY_USER_ID, ORDINARY_USER_ID);
    }
    return world;
  }

  /** Kills what runs, the prober too, and removes everything. */
  async end(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.kill()));
    for (const pid of this.probers()) process.kill(pid, 'SIGTERM');
    await until('the prober is gone', () => this.probers().length === 0, LEFT_TIMEOUT_MS);
    await rm(this.folder, { recursive: true, force: true });
  }

  file(name: string): string {
    return path.join(this.folder, name);
  }

  /** Files in the runtime folder. */
  get runtimeFiles(): string[] {
    const folder = this.file('run');
    return existsSync(folder) ? readdirSync(folder) : [];
  }

  /** The processes that are probers of this folder. */
  probers(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => isProberOf(pid, this.file('run')));
  }

  /** Starts the target and waits until it is ready. */
  async startTarget(): Promise<Child> {
    const child = this.#start([this.target]);
    await child.line(/^ready$/);
    return child;
  }

  /** Starts a copy of another program of tests/programs, which nobody else has mapped. */
  startProgram(name: string): Child {
    return this.#start([cProgramCopy(`tests/programs/${name}.c`, this.folder)]);
  }

  /** Starts a shell with a script. */
  startShell(script: string): Child {
    return this.#start(['sh', '-c', script]);
  }

  /** Starts a usertrace command. */
  start(...args: readonly string[]): Child {
    return this.#start([process.execPath, USERTRACE, ...args]);
  }

  /** Runs a usertrace command to its end. */
  run(...args: readonly string[]): Promise<Finished> {
    return this.finish(process.execPath, USERTRACE, ...args);
  }

  /** Runs another program to its end. */
  finish(...command: readonly string[]): Promise<Finished> {
    const [program = '', ...args] = this.#asUser(command);
    return finish(program, args, { env: this.environment, cwd: this.folder, timeoutMs: 60_000 });
  }

  /** The events of a file. */
  async events(name: string): Promise<ReportedEvent[]> {
    return reportedEvents(await this.run('report', '--json', name));
  }

  /** What `usertrace probe list --json` says. */
  async probes(): Promise<ListedProbe[]> {
    const { status, stdout, stderr } = await this.run('probe', 'list', '--json');
    if (status !== 0) throw new Error(`probe list ended with ${status}: ${stderr}`);
    return JSON.parse(stdout) as ListedProbe[];
  }

  /** Waits until a probe is in a process. */
  async untilInForce(event: string, pid: number): Promise<void> {
    await until(
      `${event} is in process ${pid}`,
      async () => {
        const probe = (await this.probes()).find((one) => one.event === event);
        const state = probe?.processes.find((one) => one.pid === pid)?.state;
        return state === 'breakpoint' || state === 'jump';
      },
      LEFT_TIMEOUT_MS,
    );
  }

  #start(command: readonly string[]): Child {
    const [program = '', ...args] = this.#asUser(command);
    const child = new Child(program, args, { env: this.environment, cwd: this.folder });
    this.#children.push(child);
    return child;
  }

  #asUser(command: readonly string[]): readonly string[] {
    if (this.#user === 'root') return command;
    const id = `${ORDINARY_USER_ID}`;
    return ['setpriv', `--reuid=${id}`, `--regid=${id}`, '--clear-groups', '--', ...command];
  }
}

function isProberOf(pid: number, folder: string): boolean {
  try {
    const isProber = readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('/prober/dist/main.js');
    return (
      isProber && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`USERTRACE_RUNTIME_DIR=${folder}\0`)
    );
  } catch {
    return false;
  }
}
