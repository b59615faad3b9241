/**
 * Permission checks for kernels before Linux 6.11, which have no PROCMAP_QUERY: before an operation that requires a
 * permission, the text of /proc/PID/maps is read, by operations as well, because that too can wait for ever (for the
 * address space's lock).
 *
 * One check at a time for an address space, so that its operations stay in their order.
 */
import { ERRNO } from '@usertrace/base';
import { lastErrno, libc } from '../bindings.ts';
import { closeDescriptor, O, openDescriptor } from '../descriptor.ts';
import type { AddressSpace } from './address-space.ts';
import { Fifo } from './fifo.ts';
import { accessibleLength } from './mapping-text.ts';
import { FILE, KIND, MAX_OPERATION_BYTES, type Operation, REQUIRED } from './operation.ts';

/** ioctl(2) on /proc/PID/maps, since Linux 6.11; ENOTTY before. */
const PROCMAP_QUERY = 0xc0686611;
/** A process with more text than this has some 10,000 mappings: what lies behind counts as not mapped. */
const MAX_TEXT_BYTES = 1_048_576;

/** Whether the kernel knows PROCMAP_QUERY, tried with an argument that it refuses otherwise. */
export function hasMappingQuery(): boolean {
  const fd = openDescriptor('/proc/self/maps', O.RDONLY);
  if (fd < 0) return false;
  const isKnown = libc().ioctl(fd, PROCMAP_QUERY, new Uint8Array(104)) === 0 || lastErrno() !== ERRNO.ENOTTY;
  closeDescriptor(fd);
  return isKnown;
}

export class MappingReader {
  readonly #perform: (operation: Operation) => void;
  readonly #waitingBySpace = new Map<AddressSpace, Fifo<Operation>>();

  /** @param perform what carries operations out that require no permission */
  constructor(perform: (operation: Operation) => void) {
    this.#perform = perform;
  }

  /** Checks what an operation requires, then performs it, or settles it with -EFAULT. */
  checkAndPerform(operation: Operation): void {
    const waiting = this.#waitingBySpace.get(operation.space);
    if (waiting !== undefined) {
      waiting.push(operation);
      return;
    }
    this.#waitingBySpace.set(operation.space, new Fifo());
    this.#read(operation, '');
  }

  #read(checked: Operation, text: string): void {
    this.#perform({
      ...checked,
      kind: KIND.READ,
      file: FILE.MAPS,
      required: REQUIRED.NOTHING,
      address: BigInt(text.length),
      length: MAX_OPERATION_BYTES,
      bytes: undefined,
      settle: (result, buffer) => {
        if (result < 0) this.#finish(checked, () => checked.settle(result, buffer));
        else if (result === 0) this.#decide(checked, text);
        else this.#readOn(checked, text + Buffer.from(buffer.subarray(0, result)).toString('latin1'));
      },
    });
  }

  #readOn(checked: Operation, text: string): void {
    if (text.length >= MAX_TEXT_BYTES) this.#decide(checked, text);
    else this.#read(checked, text);
  }

  #decide(checked: Operation, text: string): void {
    // An address space that is gone has no mappings to tell of; the access itself finds out.
    const allowed =
      text === ''
        ? checked.length
        : accessibleLength(text, checked.address, checked.length, checked.required);
    const length = checked.kind === KIND.READ ? allowed : checked.length;
    this.#finish(checked, () => {
      if (allowed < length || length === 0) checked.settle(-ERRNO.EFAULT, new Uint8Array());
      else this.#perform({ ...checked, required: REQUIRED.NOTHING, length });
    });
  }

  #finish(checked: Operation, conclude: () => void): void {
    const waiting = this.#waitingBySpace.get(checked.space)?.shift();
    if (waiting === undefined) this.#waitingBySpace.delete(checked.space);
    conclude();
    if (waiting !== undefined) this.#read(waiting, '');
  }
}
