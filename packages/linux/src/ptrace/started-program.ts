/**
 * Programs that this process starts and waits for by itself. libuv knows nothing of them, so that this process may trace them too:
 * libuv would take the stops of a child of its own for its end.
 *
 * While the tracer of this process has one, it is told of the end, and tells it on; otherwise SIGCHLD tells that there is
 * something to look at.
 */
import { SignalInformation, SIGNAL, type TaskEnd, taskEnd, WAIT_OPTION } from '@usertrace/abi';
import { libc, SYSTEM_CALL, systemCallError } from '../bindings.ts';
import { ProgramImage, type ProgramStart } from './program-image.ts';
import { bytesOf } from './program-text.ts';
import { OUR_STDIO, spawnProgram, type Stdio } from './spawn-process.ts';
import { traceeStatus } from './tracee-status.ts';

/** So often it is looked without a signal. */
const STANDBY_MS = 250;
/** An end that was waited for is told within it. */
const TELLING_DEADLINE_MS = 5_000;
/** waitid(2): one process, that ended, and whose end is left for who waits for it. */
const P_PID = 1;
const WEXITED = 4;
const WNOWAIT = 0x100_0000;
/** Codes of SIGCHLD above this one tell of stops (sigaction(2)): exited, killed, dumped. */
const CLD_DUMPED = 3;
/** Flags of an open file (fcntl(2)). */
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4_000;

/** Those whose end was not seen. */
const programsByPid = new Map<number, StartedProgram>();
let standby: NodeJS.Timeout | undefined;

/** A program from its start to its end. Nobody has to let go of it. */
export class StartedProgram {
  readonly pid: number;
  /** Never rejects. Node's loop stays alive for it. */
  readonly ended: Promise<TaskEnd>;
  #resolve: (end: TaskEnd) => void = () => undefined;
  #missedAtMs: number | undefined;

  /**
   * Starts a program in our folder and process group.
   *
   * @param stdio its descriptors 0, 1 and 2; ours if left out
   * @throws {ErrnoError} what execve(2) answered, ENOENT for a name that is not in PATH
   */
  constructor(start: ProgramStart, stdio: Stdio = OUR_STDIO) {
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    for (const fd of stdio) waitInCalls(fd);
    if (programsByPid.size === 0) beginToWait();
    const pid = spawnProgram(new ProgramImage(start), stdio);
    this.pid = pid;
    if (pid > 0) programsByPid.set(pid, this);
    if (programsByPid.size === 0) endWaiting();
    if (pid < 0) throw systemCallError(-pid, `start "${bytesOf(start.command).toString()}"`);
  }

  /** Sends it a signal; nothing once it has ended. */
  kill(signal: number | NodeJS.Signals): void {
    // Until its end is seen it keeps its number, dead or alive.
    if (programsByPid.get(this.pid) === this) process.kill(this.pid, signal);
  }

  /** Looks whether it has ended. What the tracer of this process is told is left to it. */
  look(): void {
    const information = new SignalInformation();
    const how = WEXITED | WNOWAIT | WAIT_OPTION.NOHANG;
    const answer = libc().syscall(SYSTEM_CALL.waitid, P_PID, this.pid, information.bytes, how, 0, 0);
    if (answer < 0) this.#miss();
    else if (information.senderPid === this.pid && information.code <= CLD_DUMPED) this.#wait();
  }

  /** Its end was seen. */
  tell(end: TaskEnd): void {
    programsByPid.delete(this.pid);
    if (programsByPid.size === 0) endWaiting();
    this.#resolve(end);
  }

  /** The tracer has waited for it, and tells of it next; unless it could not. */
  #miss(): void {
    this.#missedAtMs ??= performance.now();
    if (performance.now() - this.#missedAtMs > TELLING_DEADLINE_MS) this.tell(taskEnd(SIGNAL.KILL));
  }

  #wait(): void {
    // Nobody else's: a dead program that another process traces is not shown to us.
    if (traceeStatus(this.pid)?.tracerPid !== 0) return;
    const status = new Int32Array(32);
    if (libc().waitpid(this.pid, status, WAIT_OPTION.NOHANG) === this.pid)
      this.tell(taskEnd(status[0] as number));
  }
}

/** The program of a process that was started here and whose end was not seen; others are libuv's. */
export function startedProgram(pid: number): StartedProgram | undefined {
  return programsByPid.get(pid);
}

function lookAtAll(): void {
  for (const program of programsByPid.values()) program.look();
}

function beginToWait(): void {
  process.on('SIGCHLD', lookAtAll);
  standby = setInterval(lookAtAll, STANDBY_MS);
}

function endWaiting(): void {
  process.off('SIGCHLD', lookAtAll);
  clearInterval(standby);
}

/** Node's streams have a pipe answer EAGAIN, to everybody who has it; programs do not expect that of their standard output. */
function waitInCalls(fd: number): void {
  const flags = libc().fcntl(fd, F_GETFL, 0);
  if (flags >= 0 && (flags & O_NONBLOCK) !== 0) libc().fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}
