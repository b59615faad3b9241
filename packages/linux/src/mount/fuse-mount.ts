/**
 * Mounting a FUSE file system: opens /dev/fuse, mounts the connection at a directory, and takes it off again.
 *
 * Root, and whoever has CAP_SYS_ADMIN in a user namespace of its own, mounts by mount(2); others by fusermount3, if
 * it is installed. A `FuseMount` owns the descriptor: closing it ends the connection, and every program that waits
 * for an answer gets ECONNABORTED. Source: Documentation/filesystems/fuse.rst, mount(2), fuse(4).
 */

import { readFileSync, readlinkSync } from 'node:fs';
import { ERRNO, errnoName, isErrnoName } from '@usertrace/base';
import { failure, libc } from '../bindings.ts';
import { closeDescriptor, O, openDescriptor } from '../descriptor.ts';
import { hasFusermount, mountByFusermount, unmountByFusermount } from './fusermount.ts';
import { MountError } from './mount-error.ts';
import { type MountEntry, mountedAt } from './mount-table.ts';
import { answerOfMount } from './silent-mount.ts';

/** Names the mounts of this program in the mount table. */
const MOUNT_SOURCE = 'usertrace';
const MOUNT_TYPE = 'fuse.usertrace';

/** mount(2), umount2(2). */
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MNT_DETACH = 2;
const S_IFDIR = 0o040000;
/** Dead mounts that are taken off one directory; more have never been seen. */
const MAX_DEAD_MOUNTS = 16;

/** How to mount. */
export interface FuseMountOptions {
  /** Permission bits of the root directory. */
  readonly rootMode: number;
  /** Whether other users than the one who mounts may use it, as far as its modes let them. */
  readonly allowOther: boolean;
  /** Whether it may cover the tree of another server at the same directory. */
  readonly mayCover: boolean;
}

/** A mounted connection. */
export interface FuseMount {
  /** /dev/fuse: reads requests and writes replies, without waiting. */
  readonly fd: number;
  /** Takes the file system off its directory; programs keep the files that they have open until `close`. */
  unmount(): void;
  /** Ends the connection. */
  close(): void;
}

/**
 * Mounts a new FUSE connection at a directory, after taking off what a crashed server of this program left there.
 *
 * @throws {MountError} when that is refused, with EBUSY when another server of this program is mounted there, ETIMEDOUT
 *   when a FUSE file system is that does not answer in two seconds
 */
export function mountFuse(directory: string, options: FuseMountOptions): FuseMount {
  const mountPoint = clearedMountPoint(directory, options.mayCover);
  try {
    return mountDirectly(mountPoint, options);
  } catch (error) {
    if (!(error instanceof MountError) || !mayFusermountDoIt(error)) throw error;
  }
  const fd = mountByFusermount(mountPoint, MOUNT_SOURCE, options.allowOther);
  return {
    fd,
    unmount: () => unmountByFusermount(mountPoint),
    close: () => closeDescriptor(fd),
  };
}

function mountDirectly(mountPoint: string, options: FuseMountOptions): FuseMount {
  const fd = openFuse();
  const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  const answer = failure(
    libc().mount(MOUNT_SOURCE, mountPoint, MOUNT_TYPE, flags, mountOptions(fd, options)),
  );
  if (answer !== 0) {
    closeDescriptor(fd);
    throw refusal(-answer, mountPoint);
  }
  return {
    fd,
    // Whoever unmounted it before us did what we want.
    unmount: () => void libc().umount2(mountPoint, MNT_DETACH),
    close: () => closeDescriptor(fd),
  };
}

/** fusermount3 opens /dev/fuse as the user. It is set-user-id root, which means nothing in a user namespace. */
function mayFusermountDoIt({ code }: MountError): boolean {
  return code === 'EPERM' && !isInUserNamespace() && hasFusermount();
}

function mountOptions(fd: number, { rootMode, allowOther }: FuseMountOptions): string {
  const rootType = (S_IFDIR | rootMode).toString(8);
  const ids = `user_id=${libc().geteuid()},group_id=${libc().getegid()}`;
  return `fd=${fd},rootmode=${rootType},${ids},default_permissions${allowOther ? ',allow_other' : ''}`;
}

/**
 * The directory's path without symbolic links, once it may be mounted at.
 *
 * A crashed server leaves a mount that answers ENOTCONN to everything. Only our own kind is taken off. What is mounted
 * there is never asked by this thread, for it may not answer: a descriptor with O_PATH does not reach it.
 */
function clearedMountPoint(directory: string, mayCover: boolean): string {
  for (let count = 0; ; count++) {
    const fd = openDirectory(directory);
    let mountPoint: string;
    let mounted: MountEntry | undefined;
    let answer: number | undefined = 0;
    try {
      mountPoint = readlinkSync(`/proc/self/fd/${fd}`);
      mounted = mountedAt(mountPoint);
      if (!mayCover && mounted?.type.startsWith('fuse') === true) answer = answerOfMount(fd);
    } finally {
      closeDescriptor(fd);
    }
    if (mounted === undefined || mayCover) return mountPoint;
    if (answer === -ERRNO.ENOTCONN || answer === -ERRNO.ECONNABORTED) {
      if (count >= MAX_DEAD_MOUNTS) return mountPoint;
      detachDead(mountPoint, mounted);
      continue;
    }
    if (answer === undefined) throw silence(mountPoint, mounted);
    if (mounted.source !== MOUNT_SOURCE) return mountPoint;
    throw new MountError(
      'EBUSY',
      `Cannot mount at "${mountPoint}": another usertrace serves there`,
      'End it first, or choose another directory with --mount',
    );
  }
}

function detachDead(directory: string, mounted: MountEntry): void {
  if (mounted.source !== MOUNT_SOURCE) {
    throw new MountError(
      'ENOTCONN',
      `Cannot mount at "${directory}": a dead ${mounted.type} file system of ${mounted.source} is mounted there`,
      `Take it off with: umount -l "${directory}"`,
    );
  }
  if (libc().umount2(directory, MNT_DETACH) === 0) return;
  if (!hasFusermount()) {
    throw new MountError(
      'EPERM',
      `Cannot take a dead server's mount off "${directory}"`,
      `Have root do it: umount -l "${directory}"`,
    );
  }
  unmountByFusermount(directory);
}

function silence(directory: string, { type, source }: MountEntry): MountError {
  return new MountError(
    'ETIMEDOUT',
    `Cannot mount at "${directory}": the ${type} file system of ${source} there does not answer`,
    `Wait for its server, or take it off with: umount -l "${directory}"`,
  );
}

/** Opens a directory, but not what is mounted there: close it. */
function openDirectory(directory: string): number {
  const fd = openDescriptor(directory, O.PATH | O.DIRECTORY);
  if (fd >= 0) return fd;
  const name = errnoName(-fd);
  const code = isErrnoName(name) ? name : 'EIO';
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    throw new MountError(
      code,
      `Cannot mount at "${directory}": it is no directory`,
      `Make it first: mkdir -p "${directory}"`,
    );
  }
  throw new MountError(
    code,
    `Cannot mount at "${directory}": it cannot be looked at`,
    'Choose a directory of your own with --mount',
  );
}

function openFuse(): number {
  const fd = openDescriptor('/dev/fuse', O.RDWR | O.NONBLOCK);
  if (fd >= 0) return fd;
  if (fd === -ERRNO.EACCES || fd === -ERRNO.EPERM) {
    throw new MountError(
      'EACCES',
      'Cannot open /dev/fuse: this user may not',
      'Distributions give it mode 0666; root can: chmod 0666 /dev/fuse. In a container, allow the device as well',
    );
  }
  throw new MountError(
    'ENOENT',
    'Cannot open /dev/fuse: there is no FUSE here',
    'Load it as root with: modprobe fuse. In a container, pass it on with: --device /dev/fuse',
  );
}

function refusal(errno: number, directory: string): MountError {
  if (errno !== ERRNO.EPERM) {
    const known = errnoName(errno);
    return new MountError(
      isErrnoName(known) ? known : 'EIO',
      `Cannot mount at "${directory}": the kernel answers ${known}`,
      errno === ERRNO.ENODEV ? 'Load FUSE as root with: modprobe fuse' : 'See mount(2)',
    );
  }
  return new MountError(
    'EPERM',
    `Cannot mount at "${directory}": mounting was refused`,
    isInUserNamespace()
      ? 'This user namespace may not mount FUSE file systems: is the container allowed to (CAP_SYS_ADMIN, seccomp)?'
      : 'Mounting needs root, or fusermount3 (package fuse3), or a namespace of its own: usertrace run -- COMMAND',
  );
}

/** Whether this process is in another user namespace than the system's first. */
export function isInUserNamespace(): boolean {
  return !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'latin1'));
}
