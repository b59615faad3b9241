/**
 * The /dev/fuse descriptor of one mount, as a source of requests for the reactor: reads a message, has the session
 * serve it, and writes replies.
 *
 * It owns the buffers for requests and replies and knows their addresses, so that neither reading nor replying makes
 * an object. The mount's owner closes the descriptor.
 */

import { ERRNO } from '@usertrace/base';
import { addressOf, type InlineSource, readDescriptor, writeDescriptor } from '@usertrace/linux';
import type { DirectoryNode } from '../node.ts';
import { REPLY_BUFFER_BYTES, REQUEST_BUFFER_BYTES } from './exchange.ts';
import type { TreeOwner } from './node-requests.ts';
import { FuseSession } from './session.ts';

/** What read(2) on /dev/fuse says when there is nothing to serve but the connection goes on. */
const NOTHING_YET = new Set<number>([-ERRNO.EAGAIN, -ERRNO.EINTR]);

export class FuseConnection implements InlineSource {
  readonly fd: number;
  readonly session: FuseSession;
  readonly #requestBuffer: Uint8Array<ArrayBuffer> = new Uint8Array(REQUEST_BUFFER_BYTES);
  readonly #requestAddress: number = addressOf(this.#requestBuffer);
  readonly #replyBuffer: Uint8Array<ArrayBuffer> = new Uint8Array(REPLY_BUFFER_BYTES);
  readonly #replyAddress: number = addressOf(this.#replyBuffer);
  readonly #ended: () => void;
  #isClosed = false;

  /**
   * @param fd /dev/fuse, mounted and non-blocking
   * @param root the tree that is served
   * @param owner whose files they are
   * @param beforeRequest called before every request that may depend on which tasks exist
   * @param ended called once when the mount is gone
   */
  constructor(
    fd: number,
    root: DirectoryNode,
    owner: TreeOwner,
    beforeRequest: () => void,
    ended: () => void,
  ) {
    this.fd = fd;
    this.#ended = ended;
    this.session = new FuseSession(root, owner, {
      requestBuffer: this.#requestBuffer,
      replyBuffer: this.#replyBuffer,
      beforeRequest,
      send: (length) => this.#send(length),
    });
  }

  service(): boolean {
    if (this.#isClosed) return false;
    const received = readDescriptor(this.fd, this.#requestAddress, REQUEST_BUFFER_BYTES);
    if (received > 0) {
      this.session.serve(received);
      return true;
    }
    if (NOTHING_YET.has(received)) return false;
    // The caller of a request that was about to be read was killed; there may be others.
    if (received === -ERRNO.ENOENT) return true;
    this.close();
    return false;
  }

  /** Ends the connection's service: waiting requests are dropped, open files released. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.session.close();
    this.#ended();
  }

  /** A reply that the kernel does not want any more (its caller was killed) is dropped, as it must be. */
  #send(length: number): void {
    if (!this.#isClosed) writeDescriptor(this.fd, this.#replyAddress, length);
  }
}
