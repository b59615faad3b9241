/**
 * How an executor, which has a table of descriptors of its own, gets an address space's: over a socket (SCM_RIGHTS,
 * unix(7)). That needs no permission, where pidfd_getfd(2) needs what ptrace(2) needs: Yama denies it to the child of
 * an ordinary user's server.
 *
 * `Executors` holds the places for the sockets from the start: the numbers stay low that way, and an executor copies our
 * table up to its socket before it closes the rest (close_range(2)).
 */
import { addressOf, checked, libc } from '../bindings.ts';
import { closeDescriptor } from '../descriptor.ts';

/** unix(7), cmsg(3), fcntl(2), close_range(2). */
const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const CLOSE_RANGE_UNSHARE = 2;
const F_DUPFD_CLOEXEC = 1030;
const MAX_DESCRIPTOR = 0xffff_ffff;

/** struct msghdr, an iovec with a payload of one byte, and a cmsghdr with two descriptors (x86-64). */
export const MESSAGE_BYTES = 104;
const HEADER = { vectors: 16, vectorCount: 24, control: 32, controlBytes: 40 } as const;
const VECTOR = { start: 56, size: 64 } as const;
const PAYLOAD_START = 72;
const CONTROL = { start: 80, level: 88, type: 92, mem: 96, maps: 100, bytes: 24 } as const;

/**
 * Lays a message out, for sending or for receiving; the descriptors are left out.
 *
 * @param memory where
 * @param offset in `memory`
 * @param address of that place
 */
export function writeMessage(memory: DataView, offset: number, address: number): void {
  const write = (at: number, value: number): void => memory.setBigUint64(offset + at, BigInt(value), true);
  write(HEADER.vectors, address + VECTOR.start);
  write(HEADER.vectorCount, 1);
  write(HEADER.control, address + CONTROL.start);
  write(HEADER.controlBytes, CONTROL.bytes);
  write(VECTOR.start, address + PAYLOAD_START);
  write(VECTOR.size, 1);
  write(CONTROL.start, CONTROL.bytes);
  memory.setInt32(offset + CONTROL.level, SOL_SOCKET, true);
  memory.setInt32(offset + CONTROL.type, SCM_RIGHTS, true);
}

const outgoing = new DataView(new ArrayBuffer(MESSAGE_BYTES));
let outgoingAddress: number | undefined;

function outgoingMessage(): number {
  if (outgoingAddress === undefined) {
    outgoingAddress = addressOf(new Uint8Array(outgoing.buffer));
    writeMessage(outgoing, 0, outgoingAddress);
  }
  return outgoingAddress;
}

/** Two numbers in our table, set aside for the ends of an executor's socket; between executors they hold an eventfd. */
export class SocketPlace {
  readonly sender: number;
  /** The executor's end. */
  readonly receiver: number;
  readonly #filler: number;

  /**
   * @param filler what holds the numbers while there is no socket
   * @throws {ErrnoError} EMFILE when no descriptor is left
   */
  constructor(filler: number) {
    this.#filler = filler;
    const duplicate = (): number =>
      checked(libc().fcntl(filler, F_DUPFD_CLOEXEC, 0), 'set descriptors aside for executors');
    this.receiver = duplicate();
    this.sender = duplicate();
  }

  /** Puts a new socket there. */
  fill(): void {
    const pair = new Int32Array(16);
    checked(libc().socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 'make a pair of sockets');
    const [ours = -1, theirs = -1] = pair;
    this.#put(ours, this.sender);
    this.#put(theirs, this.receiver);
    closeDescriptor(ours);
    closeDescriptor(theirs);
  }

  /** Takes the socket out. What its executor did not receive is lost. */
  empty(): void {
    this.#put(this.#filler, this.sender);
    this.#put(this.#filler, this.receiver);
  }

  /** Gives the numbers back. */
  close(): void {
    closeDescriptor(this.sender);
    closeDescriptor(this.receiver);
  }

  /** Passes two descriptors on, for the next operation that adopts. Returns whether there was room for them. */
  send(memFd: number, mapsFd: number): boolean {
    const message = outgoingMessage();
    outgoing.setInt32(CONTROL.mem, memFd, true);
    outgoing.setInt32(CONTROL.maps, mapsFd, true);
    return libc().sendmsg(this.sender, message, MSG_DONTWAIT | MSG_NOSIGNAL) === 1;
  }

  #put(fd: number, place: number): void {
    checked(libc().dup3(fd, place, SOCK_CLOEXEC), "put an executor's socket into its place");
  }
}

/** What close_range(2) is called with. */
export interface DescriptorRange {
  readonly first: number;
  readonly last: number;
  readonly flags: number;
}

/**
 * The ranges to be closed so that two descriptors are left, in a table of the caller's own, which the first range
 * makes: of the table that was shared, it copies only what lies below that range.
 */
export function rangesAround(one: number, other: number): DescriptorRange[] {
  const [low, high] = [Math.min(one, other), Math.max(one, other)];
  const ranges = [
    { first: high + 1, last: MAX_DESCRIPTOR, flags: CLOSE_RANGE_UNSHARE },
    { first: 0, last: low - 1, flags: 0 },
    { first: low + 1, last: high - 1, flags: 0 },
  ];
  return ranges.filter(({ first, last }) => first <= last);
}
