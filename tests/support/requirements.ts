/**
 * What a check may need from the machine it stands on, and whether it is there.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { KernelUprobes } from './kernel-uprobes.ts';

/** Something a machine may lack. */
export type Requirement =
  | 'root'
  | 'fuse'
  | 'cc'
  | 'c++'
  | 'user-namespaces'
  | 'setpriv'
  | 'strace'
  | 'trace-cmd'
  | 'lttng'
  | 'kernel-uprobes'
  | 'two-processors'
  | 'node26';

function runs(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore', timeout: 60_000 }).status === 0;
}

function isInstalled(program: string): boolean {
  return runs('sh', '-c', `command -v ${program}`);
}

function canOpenFuse(): boolean {
  try {
    closeSync(openSync('/dev/fuse', constants.O_RDWR));
    return true;
  } catch {
    return false;
  }
}

const CHECKS: Record<Requirement, { isThere: () => boolean; missing: string }> = {
  root: { isThere: () => process.getuid?.() === 0, missing: 'root' },
  fuse: { isThere: canOpenFuse, missing: '/dev/fuse that this user may open' },
  cc: { isThere: () => isInstalled('cc'), missing: 'a C compiler (apt: gcc libc6-dev)' },
  'c++': { isThere: () => isInstalled('c++'), missing: 'a C++ compiler (apt: g++)' },
  'user-namespaces': {
    isThere: () => runs('unshare', '--user', '--map-root-user', '--mount', 'true'),
    missing: 'user namespaces and util-linux unshare',
  },
  setpriv: { isThere: () => isInstalled('setpriv'), missing: 'setpriv (apt: util-linux)' },
  strace: { isThere: () => isInstalled('strace'), missing: 'strace (apt)' },
  'trace-cmd': {
    isThere: () => isInstalled('trace-cmd'),
    missing: 'trace-cmd (apt)',
  },
  lttng: {
    isThere: () =>
      isInstalled('lttng-sessiond') && runs('sh', '-c', "echo '#include <lttng/tracepoint.h>' | cc -E -"),
    missing: 'LTTng-UST (apt: liblttng-ust-dev lttng-tools)',
  },
  'kernel-uprobes': {
    isThere: () => KernelUprobes.areThere(),
    missing: "the kernel's uprobes (tracefs with uprobe_events, at /sys/kernel/tracing), as root",
  },
  'two-processors': {
    isThere: () => availableParallelism() >= 2 && isInstalled('taskset'),
    missing: 'two processors, and taskset (apt: util-linux)',
  },
  node26: {
    isThere: () => runs('npx', '--yes', '-p', 'node@26', 'node', '--version'),
    missing: 'Node 26 (npm package `node`)',
  },
};

const answers = new Map<Requirement, boolean>();

/**
 * Which of these this machine lacks.
 *
 * @returns a sentence such as `needs a C compiler (apt: gcc libc6-dev)`, or undefined when nothing is missing
 */
export function missing(...requirements: Requirement[]): string | undefined {
  const lacking = requirements.filter((requirement) => {
    const known = answers.get(requirement) ?? CHECKS[requirement].isThere();
    answers.set(requirement, known);
    return !known;
  });
  if (lacking.length === 0) return undefined;
  return `needs ${lacking.map((requirement) => CHECKS[requirement].missing).join(', ')}`;
}
