/**
 * What is mounted where, from /proc/self/mountinfo (proc_pid_mountinfo(5)).
 *
 *     36 35 98:0 /root /mount/point rw,noatime shared:1 - fuse.usertrace usertrace rw,user_id=0
 *                      ^ mount point         optional ... ^ type         ^ source
 */

import { readFileSync } from 'node:fs';

/** A mounted file system. */
export interface MountEntry {
  readonly mountPoint: string;
  readonly type: string;
  readonly source: string;
}

/**
 * The file system on top at a directory.
 *
 * @param directory an absolute path without symbolic links
 * @param table the text of mountinfo
 * @returns undefined when nothing is mounted right there
 */
export function mountedAt(
  directory: string,
  table: string = readFileSync('/proc/self/mountinfo', 'utf8'),
): MountEntry | undefined {
  let top: MountEntry | undefined;
  for (const line of table.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const mountPoint = unescaped(before.split(' ')[4] ?? '');
    const [type = '', source = ''] = after.split(' ');
    if (mountPoint === directory) top = { mountPoint, type, source: unescaped(source) };
  }
  return top;
}

/** Spaces, tabs, newlines and backslashes stand there as three octal digits. */
function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
