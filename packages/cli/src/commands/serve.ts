/** `usertrace serve`: plays the kernel until it is told to end. */

import { Failure } from '../failure.ts';
import { defaultMount, prepareMount, SURROUNDINGS } from '../tree/find.ts';
import type { EngineEvents } from '../serve/engine-events.ts';
import { resolve } from 'node:path';

/** What `usertrace serve` was asked for. */
export interface ServeOptions {
  readonly mount?: string;
  readonly mode?: number;
  readonly maxEvents?: number;
  /** Whether forks, execs and ends are learned of by tracing the programs. */
  readonly follow?: 'engine';
}

/**
 * Serves until SIGINT, SIGTERM or SIGHUP (the terminal is gone), or until somebody unmounts the tree.
 *
 * @throws what mounting was refused with, in words
 */
export async function serve(options: ServeOptions): Promise<void> {
  const { startServer } = await import('@usertrace/tracefs');
  const { announceServer } = await import('@usertrace/recording');
  const { ServedProbes } = await import('../probes/served-probes.ts');
  // Otherwise it would be the folder we are in: what a shell's unset variable gives.
  if (options.mount === '') throw new Failure('--mount is empty; name a folder');
  const mount = resolve(options.mount ?? defaultMount(SURROUNDINGS));
  prepareMount(mount, options.mount === undefined && SURROUNDINGS.uid !== 0);
  const probes = new ServedProbes(warn);
  // Most servers trace nobody.
  const engines = options.follow === undefined ? undefined : await import('../serve/engine-events.ts');
  let events: EngineEvents | undefined;
  const server = await startServer({
    mount,
    probes,
    ...(engines === undefined
      ? {}
      : { taskEvents: (arrived: () => void) => (events = new engines.EngineEvents(arrived, warn)) }),
    ...(options.mode === undefined ? {} : { mode: options.mode }),
    ...(options.maxEvents === undefined ? {} : { maxEvents: options.maxEvents }),
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void server.stop());
  announceServer(server.mount);
  process.stdout.write(`usertrace: serving user_events at ${server.mount}\n`);
  await server.stopped;
  await events?.close();
  await probes.close();
}

function warn(text: string): void {
  process.stderr.write(`usertrace: ${text}\n`);
}
