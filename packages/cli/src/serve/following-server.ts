/** A server that learns of forks, execs and ends of programs by tracing them, when it is asked to: `--follow engine`. */

import type { RunningServer, ServerOptions } from '@usertrace/tracefs';
import type { EngineEvents } from './engine-events.ts';

/** How a server learns of them: by engines, or if left out by the process connector or by searching /proc. */
export type Follow = 'engine';

/** A server that serves. */
export interface FollowingServer {
  readonly server: RunningServer;
  /** Lets all programs go; to be called when the server has stopped. */
  readonly letGo: () => Promise<void>;
}

/**
 * Starts a server.
 *
 * @param warn is given sentences for the user, of programs that cannot be traced
 * @throws {MountError} see startServer()
 */
export async function startFollowingServer(
  options: ServerOptions,
  follow: Follow | undefined,
  warn: (text: string) => void,
): Promise<FollowingServer> {
  const { startServer } = await import('@usertrace/tracefs');
  if (follow === undefined) return { server: await startServer(options), letGo: () => Promise.resolve() };
  // Most servers trace nobody.
  const { EngineEvents: Events } = await import('./engine-events.ts');
  let events: EngineEvents | undefined;
  const server = await startServer({
    ...options,
    taskEvents: (arrived) => (events = new Events(arrived, warn)),
  });
  return { server, letGo: async () => events?.close() };
}
