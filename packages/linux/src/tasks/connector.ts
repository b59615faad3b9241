/**
 * The process connector: a netlink socket on which the kernel tells of every fork, exec and exit on the system, a fork
 * before the child runs and an exec before it returns (netlink(7), Documentation/driver-api/connector.rst). So whoever
 * drains it before serving a request knows of everything that happened before that request.
 *
 * The kernel lets only members of the initial user and pid namespaces subscribe; root up to Linux 6.5, any user from
 * 6.6 on. A subscription outlives the move into another namespace: a server that will run in a user namespace of its
 * own is given the descriptor that its starter opened outside (`adoptProcessConnector`).
 *
 * One object owns the socket and the memory that messages come into.
 */
import { readlinkSync } from 'node:fs';
import { ERRNO } from '@usertrace/base';
import { addressOf, failure, libc } from '../bindings.ts';
import { closeDescriptor } from '../descriptor.ts';
import {
  MESSAGE_BYTES,
  type ProcessEvent,
  parseConnectorMessage,
  SUBSCRIPTION,
  subscriptionMessage,
} from './connector-messages.ts';

/** socket(7), netlink(7). */
const AF_NETLINK = 16;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_CONNECTOR = 11;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
/** The group of CN_IDX_PROC, as a bit of sockaddr_nl's mask. */
const PROCESS_GROUP = 1;

/** The inode number of the initial pid namespace (linux/nsfs.h, PID_NS_INIT_INO). */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]';

/**
 * Asked for; the kernel doubles it and counts 768 bytes a message, so some 21,800 messages wait at most. Without
 * CAP_NET_ADMIN net.core.rmem_max limits it, usually to 550 messages.
 */
const RECEIVE_BUFFER_BYTES = 8 << 20;
/** More than can wait when a drain begins: all that happened before it is in it. */
const MAX_MESSAGES_PER_DRAIN = 32_768;
/** The answer to a subscription waits behind what was told since the socket was bound. */
const MAX_MESSAGES_BEFORE_ACK = 1024;

/** What a drain found. */
export interface ConnectorBatch {
  /** In the order in which they happened. */
  readonly events: readonly ProcessEvent[];
  /** Whether the kernel had to drop events, before or among these (ENOBUFS). */
  readonly overflowed: boolean;
}

/** Why there is no connector: one sentence for the user. */
export interface ConnectorRefusal {
  readonly reason: string;
}

/**
 * Subscribes to the process connector.
 *
 * @returns the connector, or why there is none here
 */
export function openProcessConnector(): ProcessConnector | ConnectorRefusal {
  const fd = failure(libc().socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_CONNECTOR));
  if (fd < 0) return { reason: 'the kernel has no process connector (CONFIG_PROC_EVENTS)' };
  const connector = new ProcessConnector(fd);
  const reason = connector.subscribe();
  if (reason === undefined) return connector;
  connector.close();
  return { reason };
}

/**
 * Takes over a subscription that a process outside of our user namespace made, with `openProcessConnector`. That one
 * keeps its connector and closes it when we have ended: the kernel lets only it end the subscription.
 *
 * @param fd the descriptor of its socket, inherited; from now on the connector's
 * @returns the connector, or why it is of no use here
 */
export function adoptProcessConnector(fd: number): ProcessConnector | ConnectorRefusal {
  if (readlinkSync('/proc/self/ns/pid') !== INITIAL_PID_NAMESPACE)
    return {
      reason: 'the process connector names tasks as the initial pid namespace does, and this is another',
    };
  return new ProcessConnector(fd);
}

/** A subscribed socket. Made by the two functions above. */
export class ProcessConnector {
  /** Becomes readable when there are events. */
  readonly fd: number;
  readonly #receiver = new MessageReceiver();

  /** @param fd a NETLINK_CONNECTOR socket that does not block */
  constructor(fd: number) {
    this.fd = fd;
  }

  /**
   * Binds the socket and subscribes.
   *
   * @returns undefined, or why that cannot be
   */
  subscribe(): string | undefined {
    const size = new Uint32Array([RECEIVE_BUFFER_BYTES]);
    if (libc().setsockopt(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, size, size.byteLength) < 0)
      libc().setsockopt(this.fd, SOL_SOCKET, SO_RCVBUF, size, size.byteLength);
    const address = new Uint32Array([AF_NETLINK, 0, PROCESS_GROUP]);
    if (libc().bind(this.fd, address, address.byteLength) < 0)
      return 'the process connector takes root before Linux 6.6 (CAP_NET_ADMIN)';
    for (const isFiltered of [true, false]) {
      const error = this.#request(isFiltered);
      if (error === 0) return undefined;
      if (error !== undefined) return `the process connector refuses a subscription (error ${error})`;
    }
    return 'the process connector answers in the initial user, pid and network namespaces only';
  }

  /** Returns the kernel's error number, 0 for success, or undefined when it does not answer. */
  #request(isFiltered: boolean): number | undefined {
    const ack = (process.pid * 2 + Number(isFiltered)) & 0x7fff_ffff;
    const request = subscriptionMessage(SUBSCRIPTION.LISTEN, ack, isFiltered);
    if (libc().send(this.fd, request, request.byteLength, 0) < 0) return undefined;
    // The request is served within send(2), so the answer is there, perhaps behind others' events.
    for (let count = 0; count < MAX_MESSAGES_BEFORE_ACK; count++) {
      const size = this.#receiver.receive(this.fd);
      if (size < 0) return undefined;
      const message = parseConnectorMessage(this.#receiver.message, size);
      if (message?.kind === 'ack' && message.ack === ack + 1) return message.error;
    }
    return undefined;
  }

  /** Takes all events that wait, without waiting for more. Costs a system call when there are none. */
  drain(): ConnectorBatch {
    const events: ProcessEvent[] = [];
    let overflowed = false;
    for (let count = 0; count < MAX_MESSAGES_PER_DRAIN; count++) {
      const size = this.#receiver.receive(this.fd);
      if (size === -ERRNO.ENOBUFS) overflowed = true;
      else if (size < 0) break;
      else {
        const message = parseConnectorMessage(this.#receiver.message, size);
        if (message !== undefined && message.kind !== 'ack') events.push(message);
      }
    }
    return { events, overflowed };
  }

  /** Ends the subscription. */
  close(): void {
    // The kernel counts its listeners and does not notice that one is closed.
    const request = subscriptionMessage(SUBSCRIPTION.IGNORE, 0, false);
    libc().send(this.fd, request, request.byteLength, 0);
    closeDescriptor(this.fd);
  }
}

/** Where in the receiver's memory things are: msghdr (recvmsg(2)), iovec, sockaddr_nl (netlink(7)), the message. */
const MSGHDR = { name: 0, nameBytes: 8, vectors: 16, vectorCount: 24 } as const;
const IOVEC = { base: 56, size: 64 } as const;
const SENDER = { start: 72, port: 76, bytes: 12 } as const;
const MESSAGE_START = 84;

/** Receives messages, always into the same memory. The addresses in it point into itself. */
class MessageReceiver {
  readonly #memory = new DataView(new ArrayBuffer(MESSAGE_START + MESSAGE_BYTES));
  readonly #address = addressOf(new Uint8Array(this.#memory.buffer));
  /** What was received last. */
  readonly message: DataView = new DataView(this.#memory.buffer, MESSAGE_START);

  constructor() {
    const point = (offset: number, target: number): void =>
      this.#memory.setBigUint64(offset, BigInt(this.#address + target), true);
    point(MSGHDR.name, SENDER.start);
    point(MSGHDR.vectors, IOVEC.base);
    this.#memory.setBigUint64(MSGHDR.vectorCount, 1n, true);
    point(IOVEC.base, MESSAGE_START);
    this.#memory.setBigUint64(IOVEC.size, BigInt(MESSAGE_BYTES), true);
  }

  /** Returns the size of a message of the kernel's, 0 for one of somebody else's, or the negative error number. */
  receive(fd: number): number {
    this.#memory.setUint32(MSGHDR.nameBytes, SENDER.bytes, true);
    const size = failure(libc().recvmsg(fd, this.#address, 0));
    // Any process may send to a netlink socket; the sender's port, which it cannot choose, is 0 for the kernel only.
    if (size >= 0 && this.#memory.getUint32(SENDER.port, true) !== 0) return 0;
    return size;
  }
}
