/**
 * The runtime folders, where provider files stand: a folder of mode 0700 for each user, on tmpfs where there is one. On a
 * disk's file system it works too, but the kernel's write-back of dirty pages makes the writer wait now and then.
 *
 * Folders in /dev/shm and /tmp could have been made by anybody, so each is looked at before it is used: a directory (not a
 * symbolic link), owned by the user it is for, which nobody else may enter. Tools read folders of root and of other users
 * by the same rules, and take a file only when its owner is the folder's.
 */
import { lstatSync, mkdirSync, readdirSync, type Stats } from 'node:fs';
import { join } from 'node:path';

/** Names the one folder that is used instead of all others. */
export const RUNTIME_FOLDER_VARIABLE = 'USERTRACE_RUNTIME_DIR';

/** The most folders of other users that root's tools look at. */
const FOLDERS_MAX = 4096;

/** Folders in which each user may have one: `usertrace-UID` in those that all users share. */
const SHARED_FOLDERS = ['/dev/shm', '/tmp'] as const;
/** Where systemd makes each user's $XDG_RUNTIME_DIR. */
const USER_RUNTIME_FOLDERS = '/run/user';

/** Who wants a folder. */
export interface RuntimeSurroundings {
  readonly uid: number;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A folder that was looked at. */
export interface RuntimeFolder {
  readonly path: string;
  /** Its owner, who has to own the provider files in it as well. */
  readonly uid: number;
}

/** The folders that a user's providers may be in, the one that is tried first at the front. */
export function runtimeFolderCandidates({ uid, environment }: RuntimeSurroundings): string[] {
  const named = environment[RUNTIME_FOLDER_VARIABLE];
  if (named) return [named];
  const ofSession = environment['XDG_RUNTIME_DIR'];
  return [
    `/dev/shm/usertrace-${uid}`,
    ...(ofSession?.startsWith('/') ? [join(ofSession, 'usertrace')] : []),
    `/tmp/usertrace-${uid}`,
  ];
}

/**
 * Makes the folder for this user's providers, unless it is there.
 *
 * @returns the first candidate that is, or could be made, a folder of the user alone
 * @throws {Error} when none is, with the reason of each
 */
export function makeRuntimeFolder(surroundings: RuntimeSurroundings): string {
  const reasons: string[] = [];
  for (const path of runtimeFolderCandidates(surroundings)) {
    try {
      mkdirSync(path, { mode: 0o700 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
        reasons.push(`cannot make ${path}: ${(error as Error).message}`);
        continue;
      }
    }
    const objection = objectionTo(path, surroundings.uid);
    if (objection === undefined) return path;
    reasons.push(objection);
  }
  throw new Error(
    `no runtime folder (${reasons.join('; ')}); name one that only you may enter with $${RUNTIME_FOLDER_VARIABLE}`,
  );
}

/**
 * The folders in which a tool finds providers: the user's own, and for root everybody's.
 *
 * @returns those that are there and pass the rules above
 */
export function findRuntimeFolders(surroundings: RuntimeSurroundings): RuntimeFolder[] {
  const { uid, environment } = surroundings;
  const found = new Map<string, RuntimeFolder>();
  const take = (path: string, owner: number | undefined): void => {
    const stat = statOf(path);
    if (stat === undefined || found.size >= FOLDERS_MAX) return;
    if (objectionTo(path, owner ?? stat.uid, stat) === undefined) found.set(path, { path, uid: stat.uid });
  };
  // Root names a folder of whomever it likes; anybody else one of their own.
  for (const path of runtimeFolderCandidates(surroundings)) {
    take(path, uid === 0 && environment[RUNTIME_FOLDER_VARIABLE] ? undefined : uid);
  }
  if (uid !== 0 || environment[RUNTIME_FOLDER_VARIABLE]) return [...found.values()];
  for (const shared of SHARED_FOLDERS) {
    for (const name of namesIn(shared)) {
      const owner = /^usertrace-(\d{1,10})$/.exec(name)?.[1];
      if (owner !== undefined) take(join(shared, name), Number(owner));
    }
  }
  for (const name of namesIn(USER_RUNTIME_FOLDERS)) {
    if (/^\d{1,10}$/.test(name)) take(join(USER_RUNTIME_FOLDERS, name, 'usertrace'), Number(name));
  }
  return [...found.values()];
}

/** What a provider file's name says. It is for people and for finding; what counts is in the file. */
export interface ProviderFileName {
  readonly pid: number;
  readonly tid: number;
  /** CLOCK_MONOTONIC nanoseconds, about. */
  readonly madeAt: number;
}

/**
 * The name of a provider's file.
 *
 * @param unique nanoseconds of CLOCK_MONOTONIC at which it is made: ids are used again
 */
export function providerFileName(pid: number, tid: number, unique: bigint): string {
  return `${pid}-${tid}-${unique.toString(16)}`;
}

/**
 * Reads the name of a provider's file.
 *
 * @returns undefined when the file is none
 */
export function parseProviderFileName(name: string): ProviderFileName | undefined {
  const [, pid, tid, madeAt = ''] = /^(\d{1,10})-(\d{1,10})-([0-9a-f]{1,16})$/.exec(name) ?? [];
  if (pid === undefined || tid === undefined) return undefined;
  return { pid: Number(pid), tid: Number(tid), madeAt: Number.parseInt(madeAt, 16) };
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    // Somebody else's parent folder may not let us look, and then neither is there anything for us.
    return undefined;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Why a folder cannot be used for what `owner` has; undefined when it can. */
function objectionTo(
  path: string,
  owner: number,
  stat: Stats | undefined = statOf(path),
): string | undefined {
  if (stat === undefined) return `${path} is not there`;
  if (!stat.isDirectory()) return `${path} is not a folder`;
  if (stat.uid !== owner) return `${path} belongs to user ${stat.uid}, not to ${owner}`;
  const mode = stat.mode & 0o7777;
  return (mode & 0o077) === 0
    ? undefined
    : `${path} has mode 0${mode.toString(8)}, which lets others in; make it 0700`;
}
