/** Node programs with tracepoints, and tools on them, in a runtime folder of their own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Child, finish, type Finished } from './child.ts';
import { inRepository } from './repository.ts';
import { USERTRACE } from './server.ts';

const PRODUCER = inRepository('tests', 'programs', 'tracepoint-producer.mjs');

/** One event as `usertrace report --json` prints it. */
export interface ReportedEvent {
  readonly pid: number;
  readonly cpu: number;
  readonly comm: string;
  readonly event: string;
  readonly fields: Readonly<Record<string, number | string>>;
  readonly lost?: number | 'unknown';
}

/**
 * The events that `usertrace report --json` has printed.
 *
 * @throws {Error} when it has failed
 */
export function reportedEvents({ status, stdout, stderr }: Finished): ReportedEvent[] {
  if (status !== 0) throw new Error(`report ended with ${status}: ${stderr}`);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ReportedEvent);
}

/** A runtime folder, a folder for files, and what runs with them. */
export class TracepointWorld {
  readonly folder: string;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #children: Child[] = [];

  private constructor(folder: string) {
    this.folder = folder;
    this.#environment = {
      ...process.env,
      USERTRACE_RUNTIME_DIR: path.join(folder, 'run'),
      LC_ALL: 'C.UTF-8',
    };
  }

  static async make(): Promise<TracepointWorld> {
    const folder = await mkdtemp(path.join(tmpdir(), 'usertrace-recording-'));
    return new TracepointWorld(folder);
  }

  /** Kills what runs, and removes everything. */
  async end(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.kill()));
    await rm(this.folder, { recursive: true, force: true });
  }

  file(name: string): string {
    return path.join(this.folder, name);
  }

  /** Starts tests/programs/tracepoint-producer.mjs and waits until it is ready. */
  async producer(workers: number, environment: NodeJS.ProcessEnv = {}): Promise<Child> {
    const child = this.#start([PRODUCER, `${workers}`], environment);
    await child.line(/^ready /);
    return child;
  }

  /** Starts a usertrace command. */
  start(...args: readonly string[]): Child {
    return this.#start([USERTRACE, ...args], {});
  }

  /** Runs a usertrace command to its end. */
  run(...args: readonly string[]): Promise<Finished> {
    return finish(process.execPath, [USERTRACE, ...args], { env: this.#environment, cwd: this.folder });
  }

  /** Runs another program to its end. */
  finish(program: string, ...args: readonly string[]): Promise<Finished> {
    return finish(program, args, { env: this.#environment, cwd: this.folder });
  }

  /** The events of a file. */
  async events(name: string): Promise<ReportedEvent[]> {
    return reportedEvents(await this.run('report', '--json', name));
  }

  /** What `usertrace list --json` says. */
  async listed(): Promise<{ pid: number; event: string; isEnabled: boolean; listeners: string[] }[]> {
    const { stdout } = await this.run('list', '--json');
    return JSON.parse(stdout === '' ? '[]' : stdout) as never;
  }

  #start(args: readonly string[], environment: NodeJS.ProcessEnv): Child {
    const child = new Child(process.execPath, args, {
      env: { ...this.#environment, ...environment },
      cwd: this.folder,
    });
    this.#children.push(child);
    return child;
  }
}

/** The counts of a producer's line `wrote TID N TID N ...`, by thread. */
export function countsOf(line: string): Map<number, number> {
  const numbers = line.split(' ').slice(1).map(Number);
  const counts = new Map<number, number>();
  for (let index = 0; index < numbers.length; index += 2) {
    counts.set(numbers[index] as number, numbers[index + 1] as number);
  }
  return counts;
}

/** A number, or text when a double would round it. */
function exactNumber(value: bigint): number | string {
  return Number.isSafeInteger(Number(value)) ? Number(value) : `${value}`;
}

/** The fields of the producer's event with a number, as `report --json` prints them. */
export function expectedFields(number: number): Readonly<Record<string, number | string>> {
  if (number % 2 === 1) {
    const raw = Buffer.from(`raw ${number}`).toString('hex');
    return { number, text: `text number ${number} \u00e4\u20ac`, raw, fixed: `fixed ${number}` };
  }
  const double = new DataView(new ArrayBuffer(8));
  double.setFloat64(0, number / 3, true);
  const bits = double.getBigUint64(0, true);
  return {
    number,
    big: exactNumber(BigInt(number) * 2n ** 33n),
    signed: number === 0 ? 0 : -number,
    small: number % 128,
    double: exactNumber(bits),
  };
}
