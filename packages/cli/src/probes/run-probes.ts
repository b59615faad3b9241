/**
 * `RunProbes`: the probes that a command was given with -e, made for its run. They are this process's: however it ends, the prober
 * takes them away.
 */

import { type LaunchBody, ProberClient, type ProbeScope } from '@usertrace/prober';
import { definitionFailure } from './definition-failure.ts';

/** What is probed. */
export interface RunProbesOptions {
  readonly definitions: readonly string[];
  /** Which other events are meant. */
  readonly patterns: readonly string[];
  readonly scope: ProbeScope;
  /** Told sentences for the user. */
  readonly say: (text: string) => void;
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

export class RunProbes {
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
  static async add({ definitions, patterns, scope, say }: RunProbesOptions): Promise<RunProbes | undefined> {
    // A command is to have the probes that are there already, too.
    if (definitions.length === 0 && scope.kind !== 'launched') return undefined;
    const client = await ProberClient.connect({ mayStart: definitions.length > 0, note: say });
    if (client === undefined) return undefined;
    try {
      const events = new Set<string>();
      for (const text of definitions) {
        const definition = Buffer.from(text).toString('latin1');
        const body = { definition, folder: process.cwd(), scope, isKept: false };
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

  /**
   * Has a process become a program with the probes in it.
   *
   * @throws {ProberRefusal} what execve(2) answered, or why it cannot be traced
   */
  async launch(body: Omit<LaunchBody, 'patterns'>): Promise<void> {
    await this.#client.request('launch', { ...body, patterns: this.#patterns });
  }

  /** Takes them away. */
  close(): void {
    this.#isClosed = true;
    this.#client.close();
  }
}
