/**
 * Where a user's prober is: a socket and a lock in the runtime folder. The lock belongs to the prober that lives, however its
 * predecessor died; the socket of one that died is taken away by the following.
 */
import { closeSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeRuntimeFolder, type RuntimeSurroundings, tryLockByte } from '@usertrace/linux';

/** Bytes of a socket's path, its end mark not among them (unix(7)); longer ones would be cut. */
const SOCKET_PATH_MAX = 107;

/** The surroundings of this program. */
export function ownSurroundings(): RuntimeSurroundings {
  return { uid: process.geteuid?.() ?? 0, environment: process.env };
}

/**
 * The socket of a user's prober, whether there is one or not.
 *
 * @throws {Error} when there is no runtime folder, or its path is too long
 */
export function proberSocketPath(surroundings: RuntimeSurroundings): string {
  const path = join(makeRuntimeFolder(surroundings), 'prober.socket');
  if (Buffer.byteLength(path) <= SOCKET_PATH_MAX) return path;
  throw new Error(
    `no socket can be at ${path}: its path has more than ${SOCKET_PATH_MAX} bytes; name a shorter folder with $USERTRACE_RUNTIME_DIR`,
  );
}

/** The right to be the user's prober. */
export interface ProberClaim {
  /** Where to listen: nothing is there. */
  readonly socketPath: string;
  /** Gives it back. */
  release(): void;
}

/**
 * Claims to be the user's prober.
 *
 * @returns undefined when there is one
 * @throws {Error} as proberSocketPath(), and when the folder cannot be written to
 */
export function claimProberPlace(surroundings: RuntimeSurroundings): ProberClaim | undefined {
  const socketPath = proberSocketPath(surroundings);
  const lock = openSync(`${socketPath}.lock`, 'a+', 0o600);
  if (!tryLockByte(lock, 0)) {
    closeSync(lock);
    return undefined;
  }
  rmSync(socketPath, { force: true });
  return {
    socketPath,
    release: () => {
      rmSync(socketPath, { force: true });
      closeSync(lock);
    },
  };
}
