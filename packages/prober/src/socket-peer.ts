/** Who is at the other end of a socket of Node's. */
import type { Socket } from 'node:net';
import { type PeerCredentials, peerCredentials } from '@usertrace/linux';

/** @returns undefined when the connection is over, or it cannot be known */
export function socketPeer(socket: Socket): PeerCredentials | undefined {
  // Node has no other way to a socket's descriptor.
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: unknown } };
  if (typeof handle?.fd !== 'number' || handle.fd < 0) return undefined;
  try {
    return peerCredentials(handle.fd);
  } catch {
    return undefined;
  }
}
