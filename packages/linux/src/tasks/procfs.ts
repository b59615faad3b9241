/**
 * What /proc says about one task (proc(5)). Nothing here is kept: each call reads anew, and each answers `gone` for a
 * task that is no more instead of throwing.
 *
 * Every path goes through /proc/TID, which exists for each thread although a listing of /proc shows processes only;
 * `stat` is read in /proc/TID/task/TID, because the one above it adds up the times of all threads.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { assert, ERRNO, Pid, type Tid, Uid } from '@usertrace/base';
import { addressOf } from '../bindings.ts';
import { closeDescriptor, O, openDescriptor, readDescriptorAt } from '../descriptor.ts';

/**
 * Why there is nothing to say: `gone`, there is no such task (any more); `unreadable`, we may not look (another
 * user's task, hidepid) or cannot now (no descriptor is left), so nothing is known about it.
 */
export type Absence = 'gone' | 'unreadable';

/** The longest file read here: `status` and `stat` have about 1.5 KiB, auxv 0.4. */
const MAX_FILE_BYTES = 4096;
/** Names of directories under /proc that are looked at; Linux's own limit on process ids is 4,194,304. */
const MAX_LISTED = 65_536;

/** What is read of a longer file: `status` lists up to 65,536 groups of 11 bytes before the capabilities. */
const MAX_TEXT_BYTES = 1_048_576;

const page = Buffer.alloc(MAX_FILE_BYTES);
let pageAddress: number | undefined;

function readPage(fd: number, size: number, offset: number): number {
  return readDescriptorAt(fd, (pageAddress ??= addressOf(page)), size, offset);
}

/**
 * A piece of a file of a task.
 *
 * @param path the file
 * @param offset in bytes
 * @param size at most so many bytes, no more than 4,096
 * @returns the bytes, valid until the next call, or why there are none
 */
export function readTaskFile(path: string, offset: number, size: number): Buffer | Absence {
  assert(size <= MAX_FILE_BYTES, 'files of tasks are read in pieces');
  const answer = readOpened(path, (fd) => readPage(fd, size, offset));
  return typeof answer === 'string' ? answer : page.subarray(0, answer);
}

/**
 * A text file of a task.
 *
 * @param path the file; what it holds may be in any encoding
 * @returns each byte as a character, as far as MAX_TEXT_BYTES, or why there is nothing
 */
export function readTaskText(path: string): { readonly text: string } | Absence {
  let text = '';
  const answer = readOpened(path, (fd) => {
    while (text.length < MAX_TEXT_BYTES) {
      const count = readPage(fd, MAX_FILE_BYTES, text.length);
      if (count <= 0) return count;
      text += page.toString('latin1', 0, count);
      // These files are given in one piece while there is room for all of it.
      if (count < MAX_FILE_BYTES) break;
    }
    return text.length;
  });
  return typeof answer === 'string' ? answer : { text };
}

/**
 * Opens a file for as long as it is read.
 *
 * @param path the file
 * @param read answers a size in bytes, or a negative error number
 * @returns what `read` answered, or why there is nothing
 */
function readOpened(path: string, read: (fd: number) => number): number | Absence {
  const fd = openDescriptor(path, O.RDONLY);
  const answer = fd < 0 ? fd : read(fd);
  if (fd >= 0) closeDescriptor(fd);
  if (answer >= 0) return answer;
  return answer === -ERRNO.ENOENT || answer === -ERRNO.ESRCH ? 'gone' : 'unreadable';
}

/** What `stat` says. */
export interface TaskStat {
  /** The name that prctl(PR_SET_NAME) sets, at most 15 bytes. */
  readonly command: string;
  /** One letter; Z and X: it has ended. */
  readonly state: string;
  /** The process that is its parent now. */
  readonly parentPid: Pid;
  /**
   * Whether it has execed since it was made. exec says so while /proc/TID/mem cannot be opened, so memory that was
   * opened before a look that answers `false` is the one that the task was made with.
   */
  readonly hasExeced: boolean;
  /** When it was made, in ticks (1/100 s) since the system started. With the tid it names one task for ever. */
  readonly startTicks: number;
  /** `none`: it has no memory (any more); `hidden`: it has, and we may not see more (ptrace(2), access mode read). */
  readonly memory: MemoryLayout | 'none' | 'hidden';
}

/** Where execve(2) put the parts of a program. fork copies it, nothing but exec changes it (and PR_SET_MM). */
export interface MemoryLayout {
  /** The beginning and end of code, data and heap and the bottom of the stack, as one text to compare. */
  readonly addresses: string;
  /** The bottom of the stack. */
  readonly stack: number;
}

/** The first of these follows the command's closing parenthesis; the numbers are those of proc(5). */
const FIRST_FIELD = 3;
const FIELD = { state: 3, ppid: 4, flags: 9, starttime: 22, startcode: 26, startstack: 28 } as const;
/** PF_FORKNOEXEC of the task's flags. Documented nowhere else than in linux/sched.h; a test holds it against this kernel. */
const FORKED_WITHOUT_EXEC = 0x40;
const LAYOUT_FIELDS = [26, 27, 28, 45, 46, 47] as const;

/**
 * Reads `stat` of a task.
 *
 * @param tid the task
 */
export function readTaskStat(tid: Tid): TaskStat | Absence {
  const bytes = readTaskFile(`/proc/${tid}/task/${tid}/stat`, 0, MAX_FILE_BYTES);
  return typeof bytes === 'string' ? bytes : parseTaskStat(bytes);
}

/**
 * Parses the text of `stat`. The command in it may hold blanks and parentheses: it ends at the last `)`.
 *
 * @param bytes the file
 */
export function parseTaskStat(bytes: Buffer): TaskStat {
  const commandStart = bytes.indexOf('(') + 1;
  const commandEnd = bytes.lastIndexOf(')');
  assert(commandStart > 0 && commandEnd >= commandStart, 'stat has the command in parentheses');
  const fields = bytes.toString('latin1', commandEnd + 2).split(' ');
  const field = (number: number): string => fields[number - FIRST_FIELD] ?? '0';
  const startCode = field(FIELD.startcode);
  const stack = Number(field(FIELD.startstack));
  // The kernel prints 0 for a task without memory and 1 where the reader may not know.
  const isHidden = startCode === '1' && stack === 0;
  return {
    command: bytes.toString('utf8', commandStart, commandEnd),
    state: field(FIELD.state),
    parentPid: Pid(Number(field(FIELD.ppid))),
    hasExeced: (Number(field(FIELD.flags)) & FORKED_WITHOUT_EXEC) === 0,
    startTicks: Number(field(FIELD.starttime)),
    memory:
      startCode === '0' && stack === 0
        ? 'none'
        : isHidden
          ? 'hidden'
          : { addresses: LAYOUT_FIELDS.map(field).join(), stack },
  };
}

/** What `status` says. */
export interface TaskStatus {
  /** The process that the task is a thread of. */
  readonly pid: Pid;
  /** The effective user id, as our user namespace sees it. */
  readonly effectiveUid: Uid;
  /** The effective capabilities, one bit each (capabilities(7)), in the task's own user namespace. */
  readonly effectiveCapabilities: bigint;
}

/**
 * Reads `status` of a task.
 *
 * @param tid the task
 */
export function readTaskStatus(tid: Tid): TaskStatus | Absence {
  const answer = readTaskText(`/proc/${tid}/status`);
  if (typeof answer === 'string') return answer;
  const { text } = answer;
  const pid = /^Tgid:\t(\d+)$/m.exec(text)?.[1];
  const effectiveUid = /^Uid:\t\d+\t(\d+)\t/m.exec(text)?.[1];
  const capabilities = /^CapEff:\t([\da-f]+)$/m.exec(text)?.[1];
  if (pid === undefined || effectiveUid === undefined || capabilities === undefined) return 'unreadable';
  return {
    pid: Pid(Number(pid)),
    effectiveUid: Uid(Number(effectiveUid)),
    effectiveCapabilities: BigInt(`0x${capabilities}`),
  };
}

/**
 * The name of a task.
 *
 * @param tid the task
 * @returns each byte of it as a character: it need not be UTF-8
 */
export function readTaskCommand(tid: Tid): { readonly command: string } | Absence {
  const bytes = readTaskFile(`/proc/${tid}/comm`, 0, MAX_FILE_BYTES);
  if (typeof bytes === 'string') return bytes;
  const hasEnd = bytes[bytes.length - 1] === NEWLINE;
  return { command: bytes.toString('latin1', 0, bytes.length - (hasEnd ? 1 : 0)) };
}

const NEWLINE = 10;

/** A system call that a task is in. */
export interface SystemCall {
  readonly number: number;
  /** Its six arguments, as the registers hold them. */
  readonly args: readonly bigint[];
}

/**
 * Reads `syscall` of a task, which takes the right to trace it (ptrace(2), access mode attach).
 *
 * @param tid the task
 * @returns the system call it waits in; `running` when it is on a CPU or just going to sleep; `outside` when it
 *   waits for something else
 */
export function readTaskSystemCall(tid: Tid): SystemCall | 'running' | 'outside' | Absence {
  const bytes = readTaskFile(`/proc/${tid}/syscall`, 0, MAX_FILE_BYTES);
  if (typeof bytes === 'string') return bytes;
  const [number, ...rest] = bytes.toString('latin1').trimEnd().split(' ');
  if (number === 'running') return 'running';
  if (number === undefined || number === '-1' || rest.length < 6) return 'outside';
  return { number: Number(number), args: rest.slice(0, 6).map(BigInt) };
}

/**
 * The user namespace of a task, as a text that is equal for equal namespaces.
 *
 * @param tid the task, or `self`
 * @returns undefined when it cannot be known
 */
export function userNamespaceOf(tid: Tid | 'self'): string | undefined {
  try {
    return readlinkSync(`/proc/${tid}/ns/user`);
  } catch {
    return undefined;
  }
}

/** All processes that we can see, 65,536 at most. */
export function listProcesses(): Pid[] {
  return listNumbers('/proc').map(Pid);
}

/**
 * All threads of a process, 65,536 at most.
 *
 * @param pid the process; of one that is gone there are none
 */
export function listThreads(pid: Pid): Tid[] {
  return listNumbers(`/proc/${pid}/task`) as Tid[];
}

function listNumbers(directory: string): number[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return [];
  }
  const numbers: number[] = [];
  for (const name of names) {
    const number = Number(name);
    if (number > 0 && numbers.length < MAX_LISTED) numbers.push(number);
  }
  return numbers;
}
