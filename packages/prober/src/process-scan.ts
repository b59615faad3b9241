/**
 * `ProcessScan`: the processes of the machine that may be probed, and which files each has mapped as code. It remembers what it has
 * seen, because reading mappings costs some 50 µs a process, and the thread that does it also serves hits: those of a process are
 * read when it is new, some times more while it loads its libraries, and then every two seconds or later, few at a time. Others,
 * most of them threads of the kernel, are remembered too: otherwise they would be what is read most.
 */
import { readdirSync, statSync } from 'node:fs';
import { readTaskFile } from '@usertrace/linux';
import { readMappings } from '@usertrace/uprobes';

/** Processes that are looked at: pid_max is 4,194,304, but nobody has so many. */
const PROCESSES_MAX = 32_768;
/** More than a line of /proc/PID/stat has. */
const STAT_BYTES = 4_096;
/** How often a process that is known is asked whether it is still the same, and what it is called. */
const SEEN_INTERVAL_MS = 1_000;
/** How often a new process is looked at in a row. */
const EARLY_LOOKS = 5;
const LATER_LOOK_MS = 2_000;
/** Processes that are looked at again at once. */
const LATER_LOOKS_AT_ONCE = 8;
/** Fields of /proc/PID/stat behind the command's name (proc_pid_stat(5)). */
const STAT = { state: 0, parent: 1, flags: 6, startTime: 19 } as const;
/** A thread of the kernel. */
const PF_KTHREAD = 0x20_0000;

/** A process as it was found. */
export interface FoundProcess {
  readonly pid: number;
  readonly parentPid: number;
  /** When it started, in clock ticks since boot. */
  readonly startTicks: number;
  /** Its command name, one character a byte. */
  readonly comm: string;
}

interface KnownProcess {
  found: FoundProcess;
  seenAtMs: number;
  /** At its mappings. */
  looks: number;
  lookedAtMs: number;
  /** As fileIdentity() makes them. */
  files: ReadonlySet<string>;
}

export class ProcessScan {
  readonly #uid: number;
  readonly #byPid = new Map<number, KnownProcess>();
  /** Those that may not be probed. */
  readonly #othersByPid = new Map<number, { looks: number; seenAtMs: number }>();
  #laterLooksLeft = 0;

  /** @param uid whose processes; 0 for everybody's */
  constructor(uid: number) {
    this.#uid = uid;
  }

  /**
   * Looks which processes there are.
   *
   * @param mappings whose mappings are read: those of `all`, of those that are `due`, or of `none`
   */
  look(mappings: 'all' | 'due' | 'none'): void {
    this.#laterLooksLeft = LATER_LOOKS_AT_ONCE;
    const pids = runningPids();
    const present = new Set(pids);
    for (const pid of this.#byPid.keys()) if (!present.has(pid)) this.#byPid.delete(pid);
    for (const pid of this.#othersByPid.keys()) if (!present.has(pid)) this.#othersByPid.delete(pid);
    for (const pid of pids) {
      if (pid === process.pid || (mappings !== 'all' && this.#isFresh(pid, mappings))) continue;
      const found = this.#isOurs(pid) ? readProcess(pid) : undefined;
      if (found === undefined) this.#pass(pid);
      else this.#note(found, mappings);
    }
  }

  /** Those that were there at the last look. */
  get processes(): readonly FoundProcess[] {
    return [...this.#byPid.values()].map(({ found }) => found);
  }

  /** A process of that number, if it was there. */
  process(pid: number): FoundProcess | undefined {
    return this.#byPid.get(pid)?.found;
  }

  /** Whether a process has mapped a file as code, as far as is known. */
  maps(pid: number, identity: string): boolean {
    return this.#byPid.get(pid)?.files.has(identity) ?? false;
  }

  /** Looks at one process now. */
  lookAt(pid: number): FoundProcess | undefined {
    const found = readProcess(pid);
    if (found !== undefined) this.#note(found, 'all');
    return found;
  }

  /** One that may not be probed, for now: it may yet change its user. */
  #pass(pid: number): void {
    this.#byPid.delete(pid);
    const other = this.#othersByPid.get(pid) ?? { looks: 0, seenAtMs: 0 };
    other.looks++;
    other.seenAtMs = performance.now();
    this.#othersByPid.set(pid, other);
  }

  #note(found: FoundProcess, mappings: 'all' | 'due' | 'none'): void {
    const now = performance.now();
    this.#othersByPid.delete(found.pid);
    let known = this.#byPid.get(found.pid);
    if (known === undefined || known.found.startTicks !== found.startTicks) {
      known = { found, seenAtMs: now, looks: 0, lookedAtMs: 0, files: new Set() };
      this.#byPid.set(found.pid, known);
    }
    known.found = found;
    known.seenAtMs = now;
    if (mappings === 'none' || (mappings === 'due' && !this.#isDue(known, now))) return;
    known.looks++;
    known.lookedAtMs = now;
    known.files = codeFiles(found.pid);
  }

  /** Whether a process that is still there need not be looked at now. A number that another was given is noticed a little later. */
  #isFresh(pid: number, mappings: 'due' | 'none'): boolean {
    const other = this.#othersByPid.get(pid);
    const known = this.#byPid.get(pid) ?? other;
    const isEarly = known !== undefined && known.looks < EARLY_LOOKS;
    if (known === undefined || (isEarly && (mappings === 'due' || known === other))) return false;
    return performance.now() - known.seenAtMs < SEEN_INTERVAL_MS;
  }

  #isDue({ looks, lookedAtMs }: KnownProcess, now: number): boolean {
    if (looks < EARLY_LOOKS) return true;
    if (now - lookedAtMs < LATER_LOOK_MS || this.#laterLooksLeft === 0) return false;
    this.#laterLooksLeft--;
    return true;
  }

  #isOurs(pid: number): boolean {
    if (this.#uid === 0) return true;
    try {
      return statSync(`/proc/${pid}`).uid === this.#uid;
    } catch {
      return false;
    }
  }
}

function runningPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .slice(0, PROCESSES_MAX)
    .map(Number);
}

/** @returns undefined when there is none, it is a zombie, or a thread of the kernel */
export function readProcess(pid: number): FoundProcess | undefined {
  // readFileSync() would take 64 KiB for each.
  const bytes = readTaskFile(`/proc/${pid}/stat`, 0, STAT_BYTES);
  if (typeof bytes === 'string') return undefined;
  const text = bytes.toString('latin1');
  const end = text.lastIndexOf(')');
  const fields = text.slice(end + 2).split(' ');
  const isAlive = !['Z', 'X'].includes(fields[STAT.state] ?? 'X');
  if (!isAlive || (Number(fields[STAT.flags]) & PF_KTHREAD) !== 0) return undefined;
  return {
    pid,
    parentPid: Number(fields[STAT.parent]),
    startTicks: Number(fields[STAT.startTime]),
    comm: text.slice(text.indexOf('(') + 1, end),
  };
}

/** None of a process that may not be looked at. */
function codeFiles(pid: number): ReadonlySet<string> {
  try {
    const mapped = readMappings(pid).filter(({ isExecutable }) => isExecutable);
    return new Set(mapped.flatMap(({ identity }) => (identity === undefined ? [] : [identity])));
  } catch {
    return new Set();
  }
}
