/** A set of descriptors to wait for: epoll(7), level-triggered, for readability only. */
import { addressOf, checked, failure, libc } from './bindings.ts';
import { closeDescriptor } from './descriptor.ts';

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;

/** struct epoll_event on x86-64 is packed: u32 events, then u64 of the caller's, where we keep the descriptor. */
const EVENT_BYTES = 12;
const EVENT_FD_OFFSET = 4;

/** Descriptors told of by one wait. Others that are ready come with the wait after it. */
const MAX_READY = 64;

/** An epoll set. Its owner closes it. */
export class Epoll {
  readonly #fd: number;
  readonly #events = new DataView(new ArrayBuffer(MAX_READY * EVENT_BYTES));
  readonly #eventsAddress = addressOf(new Uint8Array(this.#events.buffer));
  readonly #change = new DataView(new ArrayBuffer(EVENT_BYTES));

  constructor() {
    this.#fd = checked(libc().epoll_create1(EPOLL_CLOEXEC), 'make an epoll set');
  }

  /**
   * Begins to watch a descriptor.
   *
   * @param fd to watch until it can be read, has an error, or its other side hung up
   * @throws {ErrnoError} EPERM when a descriptor of its kind cannot be waited for, EEXIST when it is in the set
   */
  add(fd: number): void {
    this.#change.setUint32(0, EPOLLIN, true);
    this.#change.setBigUint64(EVENT_FD_OFFSET, BigInt(fd), true);
    checked(libc().epoll_ctl(this.#fd, EPOLL_CTL_ADD, fd, this.#change), `wait for descriptor ${fd}`);
  }

  /**
   * Ends watching a descriptor; to be called before it is closed.
   *
   * @param fd a descriptor of this set
   * @throws {ErrnoError} ENOENT when it is not in the set
   */
  remove(fd: number): void {
    checked(libc().epoll_ctl(this.#fd, EPOLL_CTL_DEL, fd, null), `stop waiting for descriptor ${fd}`);
  }

  /**
   * Waits until a descriptor is ready.
   *
   * @param timeoutMs for so long at most; 0 only looks
   * @returns how many are ready, for `readyFd`; or the negative error number, EINTR when a signal came
   */
  wait(timeoutMs: number): number {
    return failure(libc().epoll_wait(this.#fd, this.#eventsAddress, MAX_READY, timeoutMs));
  }

  /**
   * A descriptor that the last wait found ready.
   *
   * @param index from 0 to below the last wait's result
   */
  readyFd(index: number): number {
    return this.#events.getUint32(index * EVENT_BYTES + EVENT_FD_OFFSET, true);
  }

  close(): void {
    closeDescriptor(this.#fd);
  }
}
