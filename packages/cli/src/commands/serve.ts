/** `usertrace serve`: plays the kernel until it is told to end. */

import { Failure } from '../failure.ts';
import { defaultMount, prepareMount, SURROUNDINGS } from '../tree/find.ts';
import { type Follow, startFollowingServer } from '../serve/following-server.ts';
import { resolve } from 'node:path';

/** What `usertrace serve` was asked for. */
export interface ServeOptions {
  readonly mount?: string;
  readonly mode?: number;
  readonly maxEvents?: number;
  /** Whether forks, execs and ends are learned of by tracing the programs. */
  readonly follow?: Follow;
}

/**
 * Serves until SIGINT, SIGTERM or SIGHUP (the terminal is gone), or until somebody unmounts the tree.
 *
 * @throws what mounting was refused with, in words
 */
export async function serve(options: ServeOptions): Promise<void> {
  const { announceServer } = await import('@usertrace/recording');
  const { ServedProbes } = await import('../probes/served-probes.ts');
  // Otherwise it would be the folder we are in: what a shell's unset variable gives.
  if (options.mount === '') throw new Failure('--mount is empty; name a folder');
  const mount = resolve(options.mount ?? defaultMount(SURROUNDINGS));
  prepareMount(mount, options.mount === undefined && SURROUNDINGS.uid !== 0);
  const probes = new ServedProbes(warn);
  const { server, letGo } = await startFollowingServer(
    {
      mount,
      probes,
      ...(options.mode === undefined ? {} : { mode: options.mode }),
      ...(options.maxEvents === undefined ? {} : { maxEvents: options.maxEvents }),
    },
    options.follow,
    warn,
  );
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void server.stop());
  announceServer(server.mount);
  process.stdout.write(`usertrace: serving user_events at ${server.mount}\n`);
  await server.stopped;
  await letGo();
  await probes.close();
}

function warn(text: string): void {
  process.stderr.write(`usertrace: ${text}\n`);
}
