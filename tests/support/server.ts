/**
 * A `usertrace serve` of a test's own, mounted at a fresh folder.
 *
 * The starter owns it and must `stop` or `crash` it. Tests read its tree only through fs/promises or child
 * processes: a synchronous call would block the very process that is to notice a server that hangs.
 */
import { execFileSync } from 'node:child_process';
import { appendFile, mkdtemp, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Child, type Ending, finish } from './child.ts';
import { inRepository } from './repository.ts';

const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;

/** The built command line program. */
export const USERTRACE: string = inRepository('packages', 'cli', 'bin', 'usertrace.js');

/** How to start a server. */
export interface ServerOptions {
  /** The folder to mount at, which must exist; a fresh one by default. */
  readonly root?: string;
  /** Further arguments of `usertrace serve`. */
  readonly arguments?: readonly string[];
  /** The Node program, and its arguments before the script; this process's by default. */
  readonly node?: readonly string[];
  /** Its environment; this process's by default. */
  readonly environment?: NodeJS.ProcessEnv;
}

/** True while something is mounted at this folder. */
export function isMounted(folder: string): boolean {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[1] === folder);
}

/** A running server. */
export class Server {
  /** Where its tree is. */
  readonly root: string;
  /** From spawn to the ready line. */
  readonly startupMs: number;
  readonly process: Child;

  private constructor(root: string, process: Child, startupMs: number) {
    this.root = root;
    this.process = process;
    this.startupMs = startupMs;
  }

  /**
   * Starts a server and waits until it is ready.
   *
   * @throws {Error} with its output when it prints no ready line in time
   */
  static async start(options: ServerOptions = {}): Promise<Server> {
    const root = options.root ?? (await mkdtemp(path.join(tmpdir(), 'usertrace-test-')));
    const [node = process.execPath, ...nodeArgs] = options.node ?? [];
    const startedAt = performance.now();
    const args = [...nodeArgs, USERTRACE, 'serve', '--mount', root, ...(options.arguments ?? [])];
    const child = new Child(node, args, { env: options.environment ?? process.env });
    try {
      await child.line(/^usertrace: serving user_events at /, READY_TIMEOUT_MS);
    } catch (error) {
      await child.kill();
      await removeRoot(root);
      throw error;
    }
    return new Server(root, child, performance.now() - startedAt);
  }

  /** Sends SIGTERM (or another signal) and waits; leaves no mount and no folder behind, whatever happened. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ending> {
    const timer = setTimeout(() => void this.process.kill(), STOP_TIMEOUT_MS);
    const ending = await this.process.kill(signal);
    clearTimeout(timer);
    await this.cleanUp();
    return ending;
  }

  /** kill -9; the dead mount stays. */
  async crash(): Promise<void> {
    await this.process.kill('SIGKILL');
  }

  /** Removes what a dead server left. */
  async cleanUp(): Promise<void> {
    await removeRoot(this.root);
  }

  path(...parts: string[]): string {
    return path.join(this.root, ...parts);
  }

  read(file: string): Promise<string> {
    return readFile(this.path(file), 'utf8');
  }

  /** Writes as `echo TEXT > FILE` does. */
  write(file: string, text: string): Promise<void> {
    return writeFile(this.path(file), text);
  }

  /** Writes as `echo TEXT >> FILE` does. */
  append(file: string, text: string): Promise<void> {
    return appendFile(this.path(file), text);
  }

  names(folder: string): Promise<string[]> {
    return readdir(this.path(folder));
  }

  /** Switches one event (`user_events/NAME`) or everything (`''`). */
  enable(event: string, value: '0' | '1' = '1'): Promise<void> {
    return this.write(path.join('events', event, 'enable'), value);
  }

  /** Descriptors, memory and threads of the server process now. */
  footprint(): Footprint {
    return footprintOf(this.process.pid);
  }
}

/** The processes that a process started and that still run. */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    const children = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8');
    return children
      .split(' ')
      .filter((child) => child !== '')
      .map(Number);
  });
}

/** What a process holds. */
export interface Footprint {
  readonly descriptors: number;
  readonly rssMiB: number;
  readonly threads: number;
}

/** @param pid a live process that this user may inspect */
export function footprintOf(pid: number): Footprint {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const value = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
  const names = execFileSync('ls', [`/proc/${pid}/fd`], { encoding: 'utf8' });
  return {
    descriptors: names.split('\n').filter((name) => name !== '').length,
    rssMiB: value('VmRSS') / 1024,
    threads: value('Threads'),
  };
}

/** Leaves no mount and no folder behind. */
async function removeRoot(root: string): Promise<void> {
  while (isMounted(root)) {
    const { status, stderr } = await finish('umount', ['--lazy', root]);
    if (status !== 0) throw new Error(`Cannot unmount "${root}": ${stderr}`);
  }
  await rmdir(root).catch(() => undefined);
}
