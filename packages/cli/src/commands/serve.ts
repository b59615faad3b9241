/** `usertrace serve`: plays the kernel until it is told to end. */

import { Failure } from '../failure.ts';
import { defaultMount, prepareMount, SURROUNDINGS } from '../tree/find.ts';
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
  const warn = (text: string): void => void process.stderr.write(`usertrace: ${text}\n`);
  const probes = new ServedProbes(warn);
  const { EngineEvents } = await import('../serve/engine-events.ts');
  let events: InstanceType<typeof EngineEvents> | undefined;
  const server = await startServer({
    mount,
    probes,
    ...(options.follow === undefined
      ? {}
      : { taskEvents: (arrived: () => void) => (events = new EngineEvents(arrived, warn)) }),
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
