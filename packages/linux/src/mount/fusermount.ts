/**
 * Mounting through fusermount3(1), the set-user-id program that mounts FUSE file systems for ordinary users. It
 * opens /dev/fuse itself and passes the descriptor over a socket that it finds by the variable _FUSE_COMMFD.
 */

import { spawnSync } from 'node:child_process';
import { assert } from '@usertrace/base';
import { addressOf, checked, libc } from '../bindings.ts';
import { closeDescriptor, setNonBlocking } from '../descriptor.ts';
import { MountError } from './mount-error.ts';

const PROGRAM = 'fusermount3';
/** The socket's descriptor in fusermount3. */
const SOCKET_FD = 3;
const TIMEOUT_MS = 10_000;
/** socket(2), cmsg(3). */
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x4000_0000;

/** Whether fusermount3 is installed. */
export function hasFusermount(): boolean {
  return spawnSync(PROGRAM, ['--version'], { stdio: 'ignore', timeout: TIMEOUT_MS }).status === 0;
}

/**
 * Mounts a new connection.
 *
 * @param directory where
 * @param source what the mount table shows
 * @param allowOther whether other users may use it; needs user_allow_other in /etc/fuse.conf
 * @returns /dev/fuse, non-blocking, now the caller's
 * @throws {MountError} with fusermount3's own words when it refuses
 */
export function mountByFusermount(directory: string, source: string, allowOther: boolean): number {
  const sockets = new Int32Array(2);
  checked(libc().socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 'make a pair of sockets');
  const [ours = -1, theirs = -1] = sockets;
  try {
    const options = `nosuid,nodev,noexec,fsname=${source},subtype=${source},default_permissions`;
    const { status, stderr } = spawnSync(
      PROGRAM,
      ['-o', allowOther ? `${options},allow_other` : options, '--', directory],
      {
        stdio: ['ignore', 'ignore', 'pipe', theirs],
        env: { ...process.env, _FUSE_COMMFD: String(SOCKET_FD) },
        timeout: TIMEOUT_MS,
      },
    );
    const fd = status === 0 ? receiveDescriptor(ours) : undefined;
    if (fd !== undefined) {
      setNonBlocking(fd);
      return fd;
    }
    const words = stderr.toString().trim();
    throw new MountError(
      'EPERM',
      `Cannot mount at "${directory}": ${words === '' ? `${PROGRAM} failed` : words}`,
      allowOther
        ? 'Letting other users in needs user_allow_other in /etc/fuse.conf'
        : 'The directory must be yours, or use a namespace of its own: usertrace run -- COMMAND',
    );
  } finally {
    closeDescriptor(ours);
    closeDescriptor(theirs);
  }
}

/** Takes a connection off its directory; one that is not mounted any more is nobody's loss. */
export function unmountByFusermount(directory: string): void {
  spawnSync(PROGRAM, ['-u', '-z', '--', directory], { stdio: 'ignore', timeout: TIMEOUT_MS });
}

/** msghdr, then one iovec, one byte for it, and one cmsghdr with a descriptor (x86-64). */
const MESSAGE = { vectors: 16, vectorCount: 24, control: 32, controlBytes: 40 } as const;
const VECTOR = { start: 56, size: 64 } as const;
const PAYLOAD_START = 72;
const CONTROL = { start: 80, level: 88, type: 92, descriptor: 96, bytes: 24 } as const;
const MEMORY_BYTES = 104;

/** Takes the descriptor out of the message that waits in a socket. */
function receiveDescriptor(socket: number): number | undefined {
  const memory = new DataView(new ArrayBuffer(MEMORY_BYTES));
  const address = addressOf(new Uint8Array(memory.buffer));
  const point = (offset: number, target: number): void =>
    memory.setBigUint64(offset, BigInt(address + target), true);
  point(MESSAGE.vectors, VECTOR.start);
  memory.setBigUint64(MESSAGE.vectorCount, 1n, true);
  point(MESSAGE.control, CONTROL.start);
  memory.setBigUint64(MESSAGE.controlBytes, BigInt(CONTROL.bytes), true);
  point(VECTOR.start, PAYLOAD_START);
  memory.setBigUint64(VECTOR.size, 1n, true);
  if (libc().recvmsg(socket, address, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0) return undefined;
  const isDescriptor =
    memory.getInt32(CONTROL.level, true) === SOL_SOCKET && memory.getInt32(CONTROL.type, true) === SCM_RIGHTS;
  if (!isDescriptor) return undefined;
  const fd = memory.getInt32(CONTROL.descriptor, true);
  assert(fd >= 0, 'the kernel passes descriptors that are open');
  return fd;
}
