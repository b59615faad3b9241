/** The mappings of an address space, read from /proc/PID/maps (proc_pid_maps(5)). */

import { readFileSync, statSync } from 'node:fs';

/** One mapping. */
export interface Mapping {
  readonly start: number;
  /** The first address behind it. */
  readonly end: number;
  readonly isReadable: boolean;
  readonly isWritable: boolean;
  readonly isExecutable: boolean;
  /** Private and writable: where a program has its variables. */
  readonly isData: boolean;
  /** As `fileIdentity` makes it; undefined when it shows no file. */
  readonly identity: string | undefined;
  /** The file's path as the program's mount namespace has it, or what else the kernel calls it. */
  readonly path: string;
  /** Where in the file it begins. */
  readonly offset: number;
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) (.)(.)(.)(.) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) ([0-9]+) *(.*)$/u;

/**
 * What tells a file from all others, as maps and stat(2) both say it: device and inode. Where the two disagree (btrfs, some
 * overlays), no mapping will be found.
 *
 * @throws {Error} as stat(2)
 */
export function fileIdentity(path: string): string {
  const { dev, ino } = statSync(path, { bigint: true });
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return `${major}:${minor}:${ino}`;
}

/**
 * @param pid of a process that lives
 * @throws {Error} ENOENT or ESRCH when it is gone
 */
export function readMappings(pid: number): Mapping[] {
  const mappings: Mapping[] = [];
  for (const line of readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')) {
    const [, start, end, read, write, execute, share, offset, major, minor, inode, path = ''] =
      LINE.exec(line) ?? [];
    if (start === undefined || major === undefined || minor === undefined) continue;
    mappings.push({
      start: Number(`0x${start}`),
      end: Number(`0x${end}`),
      isReadable: read === 'r',
      isWritable: write === 'w',
      isExecutable: execute === 'x',
      isData: write === 'w' && share === 'p',
      identity: inode === '0' ? undefined : `${Number(`0x${major}`)}:${Number(`0x${minor}`)}:${inode}`,
      path,
      offset: Number(`0x${offset}`),
    });
  }
  return mappings;
}

/** The mapping around an address. */
export function mappingAt(mappings: readonly Mapping[], address: number): Mapping | undefined {
  return mappings.find(({ start, end }) => start <= address && address < end);
}

/** Which byte of which file an address shows. */
export function sourceOf(mapping: Mapping | undefined, address: number): string | undefined {
  return mapping?.identity === undefined
    ? undefined
    : `${mapping.identity}+${mapping.offset + address - mapping.start}`;
}

/** What has to be the same for probes to stay where they are. */
export function signatureOf(mappings: readonly Mapping[]): string {
  return mappings
    .filter(({ isExecutable, isData, identity }) => identity !== undefined && (isExecutable || isData))
    .map(({ start, end, identity, offset }) => `${start} ${end} ${identity} ${offset}`)
    .join('\n');
}
