/**
 * Finding the tree of a running server, and the folder that `usertrace serve` takes by default.
 *
 * A tree is recognised by its `user_events_data`, so that the kernel's own tracefs serves as well where it has
 * user_events.
 */

import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { Failure, errorCode } from '../failure.ts';
import { makeFolder } from '../folder.ts';

/** Where the kernel's tracefs stands, and where programs look for it (Documentation/trace/ftrace.rst). */
export const KERNEL_TREE = '/sys/kernel/tracing';

/** Bits of a mode that let others than the owner change a folder. */
const WRITABLE_BY_OTHERS = 0o022;

/** What decides where trees are looked for. */
export interface Surroundings {
  readonly uid: number;
  readonly environment: NodeJS.ProcessEnv;
  /** Whether the path exists; throws like stat(2) when that cannot be said. */
  exists(path: string): boolean;
}

/** The surroundings of this process. */
export const SURROUNDINGS: Surroundings = {
  uid: process.getuid?.() ?? 0,
  environment: process.env,
  exists: (path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined,
};

/** Where `usertrace serve` mounts when nobody says where. */
export function defaultMount({ uid, environment }: Pick<Surroundings, 'uid' | 'environment'>): string {
  if (uid === 0) return '/run/usertrace/tracing';
  const runtime = environment['XDG_RUNTIME_DIR'];
  return runtime ? join(runtime, 'usertrace/tracing') : `/tmp/usertrace-${uid}/tracing`;
}

/** Which tree a user named. */
export interface TreeChoice {
  /** --mount. */
  readonly mount?: string;
  /** --pid: the tree which that process sees, whose mounts may be its own. */
  readonly pid?: number;
}

/**
 * The tree that a command works on: the one that was named, else that of $USERTRACE_MOUNT, else the default
 * folder of `usertrace serve`, else /sys/kernel/tracing.
 *
 * @returns the folder
 * @throws {Failure} when there is none, with what was looked at and what would help
 */
export function findTree(choice: TreeChoice, surroundings: Surroundings = SURROUNDINGS): string {
  const named = namedTree(choice, surroundings);
  if (named) {
    const absence = whyNoTree(named, surroundings);
    if (absence === undefined) return named;
    if (choice.pid !== undefined) {
      throw new Failure(`${absence}; --pid is for a program that runs, such as one under \`usertrace run\``);
    }
    throw new Failure(`${absence}; name the folder that \`usertrace serve\` printed`);
  }
  const absences: string[] = [];
  for (const folder of candidateTrees(choice, surroundings)) {
    const absence = whyNoTree(folder, surroundings);
    if (absence === undefined) return folder;
    absences.push(absence);
  }
  throw new Failure(
    `no server found (${absences.join('; ')}); start one with \`usertrace serve\`, or name its folder with --mount ` +
      'DIR or $USERTRACE_MOUNT, or a program under `usertrace run` with --pid PID',
  );
}

/** The folders that {@link findTree} looks at, in this order. */
export function candidateTrees(
  choice: TreeChoice,
  surroundings: Pick<Surroundings, 'uid' | 'environment'> = SURROUNDINGS,
): string[] {
  const named = namedTree(choice, surroundings);
  return named ? [named] : [defaultMount(surroundings), KERNEL_TREE];
}

function namedTree(
  { mount, pid }: TreeChoice,
  { environment }: Pick<Surroundings, 'environment'>,
): string | undefined {
  return mount ?? (pid === undefined ? environment['USERTRACE_MOUNT'] : `/proc/${pid}/root${KERNEL_TREE}`);
}

/** Why a folder is not the tree of a running server; undefined when it is one. */
function whyNoTree(folder: string, surroundings: Surroundings): string | undefined {
  try {
    if (surroundings.exists(join(folder, 'user_events_data'))) return undefined;
    return `${folder} has no user_events_data`;
  } catch (error) {
    switch (errorCode(error)) {
      case 'ENOTCONN':
      case 'ECONNABORTED':
        return `the server of ${folder} has died`;
      case 'EACCES':
      case 'EPERM':
        return `${folder} is not yours to open`;
      default:
        return `${folder} cannot be looked at: ${(error as Error).message}`;
    }
  }
}

/**
 * Makes the folder to mount on, with the folders above it that are missing.
 *
 * @param folder an absolute path
 * @param isPrivate whether the folder above must be one that only we may enter and change, because it stands where
 *   others could have made it first (/tmp)
 * @throws {Failure} when it cannot be made, or must be private and is not
 */
export function prepareMount(folder: string, isPrivate: boolean): void {
  const above = join(folder, '..');
  make(above, isPrivate ? 0o700 : 0o755);
  if (isPrivate) {
    const stat = lstatSync(above);
    if (!stat.isDirectory() || stat.uid !== process.getuid?.() || (stat.mode & WRITABLE_BY_OTHERS) !== 0) {
      throw new Failure(
        `${above} is not a folder that only you may change; remove it, or choose a folder of yours with --mount DIR`,
      );
    }
  }
  // A dead mount from a server that crashed is there too; mounting clears it away.
  make(folder);
}

/** Makes a folder, unless there is something of that name. */
function make(folder: string, mode?: number): void {
  try {
    makeFolder(folder, mode);
  } catch (error) {
    throw new Failure(
      `cannot make the folder ${folder}: ${errorCode(error)}; choose another with --mount DIR`,
    );
  }
}
