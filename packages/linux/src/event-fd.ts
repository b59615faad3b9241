/** A counter in the kernel that somebody can wait for: eventfd(2). */
import { addressOf, checked, libc } from './bindings.ts';
import { closeDescriptor, readDescriptor, writeDescriptor } from './descriptor.ts';

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

/** An eventfd that never blocks. Its owner closes it. */
export class EventFd {
  /** The descriptor: readable while the counter is not 0. */
  readonly fd: number;
  readonly #counter = new BigUint64Array(8);
  readonly #counterAddress = addressOf(this.#counter);

  constructor() {
    this.fd = checked(libc().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'make an eventfd');
  }

  /** Adds one to the counter, which wakes whoever waits for it. */
  signal(): void {
    this.#counter[0] = 1n;
    writeDescriptor(this.fd, this.#counterAddress, 8);
  }

  /** Sets the counter to 0. */
  clear(): void {
    readDescriptor(this.fd, this.#counterAddress, 8);
  }

  close(): void {
    closeDescriptor(this.fd);
  }
}
