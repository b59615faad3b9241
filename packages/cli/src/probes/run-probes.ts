/**
 * `RunProbes`: the probes that a command was given with -e, made for its run. They are this process's: however it ends, the prober
 * takes them away.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { yamaScope } from '@usertrace/linux';
import { type LaunchBody, ProberClient, type ProbeScope } from '@usertrace/prober';
import { EXIT, Failure } from '../failure.ts';
import type { CommandLauncher } from '../recording/followed-command.ts';
import { definitionFailure } from './definition-failure.ts';

/** What is probed. */
export interface RunProbesOptions {
  readonly definitions: readonly string[];
  /** Which hits of theirs are wanted, as an event's `filter` file takes it. */
  readonly filter: string | undefined;
  /** Which other events are meant. */
  readonly patterns: readonly string[];
  readonly scope: ProbeScope;
  /** Told sentences for the user. */
  readonly say: (text: string) => void;
}

/** A filter as a request has it. */
export function filterOf(filter: string | undefined): { filter?: string } {
  return filter === undefined ? {} : { filter: Buffer.from(filter).toString('latin1') };
}

/** Has what probes were hit by up to now written, where a prober is there for probes that were added before. */
export async function syncProbes(): Promise<void> {
  const client = await ProberClient.connect({ mayStart: false, isObserver: true }).catch(() => undefined);
  await client?.request('sync', {}).catch(() => undefined);
  client?.close();
}

/** Whom the probes of a command are for: the program that it runs, the processes that it is given, or all. */
export function scopeOf(command: readonly string[], pids: readonly number[] | undefined): ProbeScope {
  if (command.length > 0) return { kind: 'launched' };
  return pids === undefined ? { kind: 'all' } : { kind: 'processes', pids };
}

/** How long a stand-in that is a program of Node may take to name its tracer. */
const STAND_IN_DEADLINE_MS = 20_000;
const STAND_IN_LOOK_MS = 20;
const STAND_IN_PROGRAM = fileURLToPath(new URL('./stand-in.js', import.meta.url));

/** Whether a process may be traced only by those that it names, its ancestors, and root. */
function mustNameTracer(): boolean {
  return yamaScope() === 1 && process.geteuid?.() !== 0;
}

export class RunProbes implements CommandLauncher {
  /** The events, as SYSTEM:EVENT. */
  readonly events: readonly string[];
  readonly #client: ProberClient;
  readonly #patterns: readonly string[];
  #isClosed = false;

  private constructor(client: ProberClient, events: readonly string[], patterns: readonly string[]) {
    this.#client = client;
    this.#patterns = patterns;
    this.events = events;
  }

  /**
   * Adds the probes. They are in the programs from the moment in which somebody listens.
   *
   * @returns undefined when nothing is probed: then no prober is started
   * @throws {Failure} for a definition that is refused, and a process that cannot be probed
   */
  static async add({
    definitions,
    filter,
    patterns,
    scope,
    say,
  }: RunProbesOptions): Promise<RunProbes | undefined> {
    if (filter !== undefined && definitions.length === 0)
      throw new Failure('--filter is for definitions that are given with -e; there is none', EXIT.usage);
    // A command is to have the probes that are there already, too.
    if (definitions.length === 0 && scope.kind !== 'launched') return undefined;
    const client = await ProberClient.connect({ mayStart: definitions.length > 0, note: say });
    if (client === undefined) return undefined;
    try {
      const events = new Set<string>();
      for (const text of definitions) {
        const definition = Buffer.from(text).toString('latin1');
        const body = { definition, folder: process.cwd(), scope, isKept: false, ...filterOf(filter) };
        const added = await client.request('add', body);
        for (const { group, event } of added.events) events.add(`${group}:${event}`);
      }
      const probes = new RunProbes(client, [...events], patterns);
      client.over.addEventListener('abort', () => {
        if (!probes.#isClosed) say((client.over.reason as Error).message);
      });
      return probes;
    } catch (error) {
      client.close();
      throw definitionFailure(error);
    }
  }

  /** Resolves when the probes are where somebody listens, and what was hit before is written. Nothing when the prober is gone. */
  async sync(): Promise<void> {
    await this.#client.request('sync', {}).catch(() => undefined);
  }

  get standIn(): CommandLauncher['standIn'] {
    return mustNameTracer() ? [process.execPath, STAND_IN_PROGRAM, `${this.#client.pid}`] : ['sleep', '100'];
  }

  /**
   * Has a process become a program with the probes in it.
   *
   * @throws {ProberRefusal} what execve(2) answered, or why it cannot be traced
   */
  async launch(body: Omit<LaunchBody, 'patterns'>): Promise<void> {
    const deadline = performance.now() + (mustNameTracer() ? STAND_IN_DEADLINE_MS : 0);
    for (;;) {
      try {
        await this.#client.request('launch', { ...body, patterns: this.#patterns });
        return;
      } catch (error) {
        // It has not named its tracer yet.
        if ((error as { code?: string }).code !== 'EPERM' || performance.now() > deadline) throw error;
        await delay(STAND_IN_LOOK_MS);
      }
    }
  }

  /** Takes them away. */
  close(): void {
    this.#isClosed = true;
    this.#client.close();
  }
}
