/**
 * The messages of the kernel's process connector, as bytes: struct nlmsghdr (linux/netlink.h) with struct cn_msg
 * (linux/connector.h, Documentation/driver-api/connector.rst) with struct proc_event (linux/cn_proc.h).
 *
 *     0         16        36         52                76
 *     | nlmsghdr | cn_msg  | proc_event: what, cpu, time | body |
 *
 * All numbers are the machine's own byte order. The tables give each field's offset; connector-messages.test.ts
 * compares them with the C compiler's.
 */
import { assert, Pid, Tid } from '@usertrace/base';

/** struct nlmsghdr. */
export const NETLINK_HEADER = { len: 0, type: 4, flags: 6, seq: 8, pid: 12, bytes: 16 } as const;
/** struct cn_msg. */
export const CONNECTOR_HEADER = { idx: 0, val: 4, seq: 8, ack: 12, len: 16, flags: 18, bytes: 20 } as const;
/** struct proc_event; `body` is its union, whose largest member is 24 bytes. */
export const PROCESS_EVENT = { what: 0, cpu: 4, timestampNs: 8, body: 16, bytes: 40 } as const;
/** The members of the union that we read. The kernel's `pid` is a thread's id, its `tgid` the process's. */
export const FORK_BODY = { parentTid: 0, parentPid: 4, childTid: 8, childPid: 12, bytes: 16 } as const;
export const EXEC_BODY = { tid: 0, pid: 4, bytes: 8 } as const;
export const EXIT_BODY = { tid: 0, pid: 4, bytes: 24 } as const;
const ACK_BODY = { error: 0 } as const;

const CONNECTOR_START = NETLINK_HEADER.bytes;
const EVENT_START = CONNECTOR_START + CONNECTOR_HEADER.bytes;
const BODY_START = EVENT_START + PROCESS_EVENT.body;

/** A message of the kernel's is this long. */
export const MESSAGE_BYTES: number = EVENT_START + PROCESS_EVENT.bytes;
assert(MESSAGE_BYTES === 76, 'the layouts add up to what the kernel sends');

/** enum proc_cn_event: bits of a mask, except the first. */
const WHAT = { ACK: 0, FORK: 1, EXEC: 2, EXIT: 0x8000_0000 } as const;
/** CN_IDX_PROC and CN_VAL_PROC. */
const PROCESS_CONNECTOR = { idx: 1, val: 1 } as const;
const NLMSG_DONE = 3;

/** Something that a task did, in the words of /proc: `tid` is a thread, `pid` its process. */
export type ProcessEvent =
  | {
      readonly kind: 'fork';
      /** The real parent: of a new process the thread that made it, of a new thread the parent of its process. */
      readonly parentTid: Tid;
      readonly parentPid: Pid;
      readonly childTid: Tid;
      /** Equal to `childTid` for a new process. */
      readonly childPid: Pid;
    }
  | { readonly kind: 'exec' | 'exit'; readonly tid: Tid; readonly pid: Pid };

/** The kernel's answer to a request of ours. */
export interface ConnectorAck {
  readonly kind: 'ack';
  /** What the request carried, plus 1. */
  readonly ack: number;
  /** 0, or a positive error number. */
  readonly error: number;
}

/**
 * Reads a message.
 *
 * @param message at its beginning; longer messages of later kernels are read as far as we know them
 * @param size how many bytes were received
 * @returns undefined for one that is not the process connector's, or of a kind that we have no use for
 */
export function parseConnectorMessage(
  message: DataView,
  size: number,
): ProcessEvent | ConnectorAck | undefined {
  if (size < MESSAGE_BYTES) return undefined;
  const u32 = (offset: number): number => message.getUint32(offset, true);
  if (u32(CONNECTOR_START + CONNECTOR_HEADER.idx) !== PROCESS_CONNECTOR.idx) return undefined;
  if (u32(CONNECTOR_START + CONNECTOR_HEADER.val) !== PROCESS_CONNECTOR.val) return undefined;
  const tid = Tid(u32(BODY_START + EXEC_BODY.tid));
  const pid = Pid(u32(BODY_START + EXEC_BODY.pid));
  switch (u32(EVENT_START + PROCESS_EVENT.what)) {
    case WHAT.ACK:
      return {
        kind: 'ack',
        ack: u32(CONNECTOR_START + CONNECTOR_HEADER.ack),
        error: u32(BODY_START + ACK_BODY.error),
      };
    case WHAT.FORK:
      return {
        kind: 'fork',
        parentTid: Tid(u32(BODY_START + FORK_BODY.parentTid)),
        parentPid: Pid(u32(BODY_START + FORK_BODY.parentPid)),
        childTid: Tid(u32(BODY_START + FORK_BODY.childTid)),
        childPid: Pid(u32(BODY_START + FORK_BODY.childPid)),
      };
    case WHAT.EXEC:
      return { kind: 'exec', tid, pid };
    case WHAT.EXIT:
      return { kind: 'exit', tid, pid };
    default:
      return undefined;
  }
}

/** enum proc_cn_mcast_op. */
export const SUBSCRIPTION = { LISTEN: 1, IGNORE: 2 } as const;

/**
 * A request to begin or end the subscription.
 *
 * @param operation of `SUBSCRIPTION`
 * @param ack any number; the answer carries it, plus 1
 * @param isFiltered whether to ask for the kinds of events that we read only, which Linux 6.6 and later can; before
 *   that the kernel leaves such a request without an answer
 */
export function subscriptionMessage(operation: 1 | 2, ack: number, isFiltered: boolean): Uint8Array {
  const bodyBytes = isFiltered ? 8 : 4;
  const message = new DataView(new ArrayBuffer(EVENT_START + bodyBytes));
  message.setUint32(NETLINK_HEADER.len, message.byteLength, true);
  message.setUint16(NETLINK_HEADER.type, NLMSG_DONE, true);
  message.setUint32(CONNECTOR_START + CONNECTOR_HEADER.idx, PROCESS_CONNECTOR.idx, true);
  message.setUint32(CONNECTOR_START + CONNECTOR_HEADER.val, PROCESS_CONNECTOR.val, true);
  message.setUint32(CONNECTOR_START + CONNECTOR_HEADER.ack, ack, true);
  message.setUint16(CONNECTOR_START + CONNECTOR_HEADER.len, bodyBytes, true);
  message.setUint32(EVENT_START, operation, true);
  if (isFiltered) message.setUint32(EVENT_START + 4, (WHAT.FORK | WHAT.EXEC | WHAT.EXIT) >>> 0, true);
  return new Uint8Array(message.buffer);
}
