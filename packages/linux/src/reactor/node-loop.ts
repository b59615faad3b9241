/**
 * Node's own event loop, seen from outside: whether it has something to do, so that somebody who sleeps in its
 * thread knows when to let it run.
 *
 * libuv is made for being embedded in another loop (libuv's documentation, "uv_backend_fd"): its epoll descriptor
 * becomes readable when something it watches is ready, signals, exited children, thread pool and pipes included;
 * its timeout tells when the first timer is due, and is 0 when callbacks wait to be run. Node exports these
 * functions for add-ons.
 */
import { assert, Nanoseconds } from '@usertrace/base';
import { libc, nodeEnvironment } from '../bindings.ts';

/** What a sleeper must know of the loop that its thread belongs to. */
export interface HostLoop {
  /** Readable when the loop has something to do. */
  readonly fd: number;
  /** Nanoseconds until the loop has something to do that `fd` does not tell of: 0 for now, Infinity for never. */
  untilDueNs(): Nanoseconds;
}

/** The event loop of the Node thread that makes this object. */
export class NodeLoop implements HostLoop {
  readonly fd: number;
  readonly #loop: bigint;

  constructor() {
    const loop = new BigUint64Array(8);
    const status = libc().napi_get_uv_event_loop(nodeEnvironment(), loop);
    assert(status === 0 && loop[0] !== undefined, 'a thread that runs JavaScript has an event loop');
    this.#loop = loop[0];
    this.fd = libc().uv_backend_fd(this.#loop);
  }

  untilDueNs(): Nanoseconds {
    // While the callback of an immediate runs, Node keeps libuv from sleeping, so that the timeout were always 0. It
    // ends that when no immediate is left; clearing one makes it look.
    clearImmediate(setImmediate(() => undefined));
    // The timeout counts from the loop's idea of now, which is as old as the callback that asks.
    libc().uv_update_time(this.#loop);
    const timeoutMs = libc().uv_backend_timeout(this.#loop);
    return Nanoseconds(timeoutMs < 0 ? Infinity : timeoutMs * 1e6);
  }
}
