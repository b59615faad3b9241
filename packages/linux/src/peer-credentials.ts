/** Who is at the other end of a Unix socket: SO_PEERCRED (unix(7)). */
import { checked, libc } from './bindings.ts';

/** socket(7), unix(7). */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** `struct ucred`: process, user, group; 32 bits each. */
const WORDS = 3;
const BYTES = 12;

/** A process as the kernel noted it when the connection was made. */
export interface PeerCredentials {
  /** In our pid namespace; 0 when it is not in it. */
  readonly pid: number;
  /** The effective user, in our user namespace. */
  readonly uid: number;
}

/**
 * Asks who has connected, or to whom.
 *
 * @param fd a connected Unix socket
 * @throws {ErrnoError} when it is none
 */
export function peerCredentials(fd: number): PeerCredentials {
  const words = new Int32Array(WORDS);
  const size = Uint32Array.of(BYTES);
  checked(libc().getsockopt(fd, SOL_SOCKET, SO_PEERCRED, words, size), 'ask who is connected');
  const [pid = 0, uid = -1] = words;
  return { pid, uid: uid >>> 0 };
}
