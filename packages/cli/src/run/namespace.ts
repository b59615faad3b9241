/**
 * The namespaces of `usertrace run`, made by unshare(1) of util-linux because Node cannot unshare itself: the
 * kernel lets only single-threaded processes into a new user namespace (unshare(2)).
 *
 * As root, CMD gets a mount namespace. Without root there are two user namespaces: the first one maps the user to
 * root, so that the server may mount and reach CMD's memory; CMD runs in a second one inside it, in which the
 * user's own ids stand again and nobody holds a capability.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Bit of CAP_SYS_ADMIN in a capability set (linux/capability.h); mounting needs it. */
const CAP_SYS_ADMIN_BIT = 21n;

/** Whether this process may mount where it is. */
export function mayMount(status: string = readFileSync('/proc/self/status', 'latin1')): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> CAP_SYS_ADMIN_BIT) & 1n) === 1n;
}

/** Arguments of unshare(1) that give a process a mount namespace of its own, up to the `--` before its command. */
export function serverNamespace(isPrivileged: boolean): string[] {
  const forUser = isPrivileged ? [] : ['--user', '--map-root-user'];
  return [...forUser, '--mount', '--propagation', 'private', '--'];
}

/** Arguments of unshare(1), inside the first user namespace, that give CMD its own ids back. */
export function commandNamespace(uid: number, gid: number): string[] {
  return ['--user', `--map-user=${uid}`, `--map-group=${gid}`, '--'];
}

/** How an attempt to make the namespaces ended. */
export interface Attempt {
  /** What unshare printed; empty when it succeeded. */
  readonly output: string;
  /** Whether there is an unshare to run. */
  readonly isInstalled: boolean;
  readonly succeeded: boolean;
}

/** Makes the namespaces of a run for a moment, to see whether they can be had. Takes some milliseconds. */
export function attemptNamespaces(isPrivileged: boolean, uid: number, gid: number): Attempt {
  const inner = isPrivileged ? [] : ['unshare', ...commandNamespace(uid, gid)];
  const result = spawnSync('unshare', [...serverNamespace(isPrivileged), ...inner, 'true'], {
    encoding: 'utf8',
  });
  return {
    output: (result.stderr ?? '').trim(),
    isInstalled: result.error === undefined,
    succeeded: result.status === 0,
  };
}

/** What the system says about namespaces. Settings that it does not have are undefined. */
export interface NamespaceSettings {
  /** user.max_user_namespaces, see namespaces(7). */
  readonly userNamespacesMax: number | undefined;
  /** kernel.unprivileged_userns_clone of Debian and Arch kernels: 0 forbids. */
  readonly usernsClone: number | undefined;
  /** kernel.apparmor_restrict_unprivileged_userns of Ubuntu: 1 takes the capabilities away. */
  readonly apparmorRestrict: number | undefined;
  /** Whether a seccomp filter stands over this process, as in most containers. */
  readonly isFiltered: boolean;
}

/** Reads the settings of this machine. */
export function readNamespaceSettings(): NamespaceSettings {
  return {
    userNamespacesMax: readNumber('/proc/sys/user/max_user_namespaces'),
    usernsClone: readNumber('/proc/sys/kernel/unprivileged_userns_clone'),
    apparmorRestrict: readNumber('/proc/sys/kernel/apparmor_restrict_unprivileged_userns'),
    isFiltered: /^Seccomp:\s*2$/m.test(readFileSync('/proc/self/status', 'latin1')),
  };
}

function readNumber(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'latin1'));
  } catch {
    return undefined;
  }
}

/** Why the namespaces of a run could not be made, and what would help. */
export function explainRefusal(attempt: Attempt, isPrivileged: boolean, settings: NamespaceSettings): string {
  if (!attempt.isInstalled) return 'there is no unshare command; install util-linux 2.38 or newer';
  if (/unrecognized option/.test(attempt.output)) {
    return `unshare is too old (${attempt.output.split('\n')[0]}); install util-linux 2.38 or newer`;
  }
  const said = `unshare said: ${attempt.output || 'nothing'}`;
  const container =
    'a seccomp filter stands over this process, as containers have: start the container with --cap-add SYS_ADMIN ' +
    `--security-opt seccomp=unconfined --device /dev/fuse (${said})`;
  if (isPrivileged) {
    if (settings.isFiltered) return `a mount namespace was refused; ${container}`;
    return `a mount namespace was refused although this process has CAP_SYS_ADMIN (${said})`;
  }
  const asRoot = 'or run this as root';
  if (settings.userNamespacesMax === 0) {
    return `user namespaces are off (user.max_user_namespaces is 0); set it with \`sysctl user.max_user_namespaces=1000\`, ${asRoot}`;
  }
  if (settings.usernsClone === 0) {
    return `user namespaces are for root only (kernel.unprivileged_userns_clone is 0); set it with \`sysctl kernel.unprivileged_userns_clone=1\`, ${asRoot}`;
  }
  if (settings.apparmorRestrict === 1) {
    return `AppArmor takes the capabilities from user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1); set it with \`sysctl kernel.apparmor_restrict_unprivileged_userns=0\`, ${asRoot}`;
  }
  if (settings.isFiltered) return `a user namespace was refused; ${container}`;
  return `a user namespace was refused (${said}); the kernel needs CONFIG_USER_NS and room below user.max_user_namespaces, ${asRoot}`;
}
