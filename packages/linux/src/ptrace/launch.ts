/**
 * Starts programs that are traced from their first instruction.
 *
 * libuv waits for the children it started itself and would take their stops for ends. So the child is made here: a
 * stand-in, sleep(1), is started by posix_spawn(3), seized and stopped before it
 * does anything, and then made to execve(2) the wanted program by remote calls. That way the program gets exactly the
 * arguments and environment asked for, a failing execve answers its own error, and a seccomp filter can be put in
 * before. The stand-in's descriptors are ours without those that close at exec.
 */
import { existsSync } from 'node:fs';
import { isStopStatus, PTRACE, PTRACE_EVENT, PTRACE_OPTION, SIGNAL, stopEvent } from '@usertrace/abi';
import { ERRNO, ErrnoError } from '@usertrace/base';
import { libc, SYSTEM_CALL, systemCallError } from '../bindings.ts';
import { ProgramImage, type ProgramStart } from './program-image.ts';
import { bytesOf } from './program-text.ts';
import type { RemoteCaller } from './remote-call.ts';
import { ENOEXEC, spawnProgram, type Stdio } from './spawn-process.ts';
import type { StopWaiter } from './stop-waiter.ts';
import { StringsImage } from './strings-image.ts';
import type { SystemPtrace } from './system-ptrace.ts';
import { traceeStatus } from './tracee-status.ts';

const STOP_DEADLINE_MS = 5_000;

/** The stand-in, and what stands in for it where it is not: neither reads the descriptors that are the program's. */
const SLEEP = '/bin/sleep';
const STAND_IN_S = '100';
const NODE_SLEEP = 'setTimeout(() => {}, 1e5)';

/** With a filter the program's execve may be one of the calls that stop, and would answer ENOSYS without TRACESECCOMP. */
const STAND_IN_OPTIONS = PTRACE_OPTION.TRACESYSGOOD | PTRACE_OPTION.TRACEEXEC | PTRACE_OPTION.TRACESECCOMP;

const PROT_READ_WRITE = 3n;
const MAP_PRIVATE_ANONYMOUS = 0x22n;
const PR_SET_NO_NEW_PRIVS = 38n;
const SECCOMP_SET_MODE_FILTER = 1n;
/** Strings of a program's start: the kernel takes no more either (MAX_ARG_STRINGS aside, a quarter of 8 MiB). */
const MAX_STRINGS_BYTES = 2_097_152;
/** Of the folder and the filter, besides their bytes. */
const PLACE_BYTES = 64;

/** What to start, and how. */
export interface LaunchOptions extends ProgramStart {
  readonly cwd?: string;
  /** Its descriptors 0, 1 and 2; ours if left out. */
  readonly stdio?: Stdio;
  /** A seccomp filter, an array of `struct sock_filter`. */
  readonly filter?: Uint8Array;
  /**
   * A process that becomes the program, with its descriptors, folder and signals as they are: another's child, which waits and does
   * nothing else. It stays another's to wait for, and is left as it is when the program cannot be started.
   */
  readonly standIn?: number;
}

/** Starts programs. */
export class Launcher {
  readonly #ptrace: SystemPtrace;
  readonly #waiter: StopWaiter;
  readonly #caller: RemoteCaller;

  constructor(ptrace: SystemPtrace, waiter: StopWaiter, caller: RemoteCaller) {
    this.#ptrace = ptrace;
    this.#waiter = waiter;
    this.#caller = caller;
  }

  /**
   * Starts a program and leaves it stopped at PTRACE_EVENT_EXEC, before its first instruction.
   *
   * @param launch what to start
   * @param traceOptions PTRACE_OPTION bits that it is seized with
   * @returns its process id
   * @throws {ErrnoError} what execve(2) answered, ENOENT for a name that is not in PATH, E2BIG for too much text
   */
  launch(launch: LaunchOptions, traceOptions: number): number {
    const doing = `start "${bytesOf(launch.command).toString()}"`;
    const program = new ProgramImage(launch);
    if (!program.isFound) throw systemCallError(ERRNO.ENOENT, doing);
    const pid = launch.standIn ?? this.#startStandIn(launch, doing);
    try {
      const seized = this.#ptrace.seize(pid, STAND_IN_OPTIONS);
      if (seized < 0) throw seizeError(pid, -seized, doing);
      this.#stop(pid, doing);
      this.#becomeProgram(pid, launch, program, doing);
      this.#ptrace.setOptions(pid, traceOptions);
    } catch (error) {
      if (launch.standIn !== undefined) {
        this.#ptrace.detach(pid, 0);
        throw error;
      }
      libc().kill(pid, SIGNAL.KILL);
      // A tracee may stop once more on its way out.
      for (let look = 0; look < 4; look++) {
        const status = this.#waiter.waitFor(pid, STOP_DEADLINE_MS);
        if (status < 0 || !isStopStatus(status)) break;
        this.#ptrace.resume(pid, PTRACE.CONT, 0);
      }
      throw error;
    }
    return pid;
  }

  /** posix_spawn(3) returns in the middle of the stand-in's exec, so that the end of it may be told first. */
  #stop(pid: number, doing: string): void {
    for (let stop = 0; stop < 3; stop++) {
      // Any other stop takes a pending interruption with it.
      this.#ptrace.interrupt(pid);
      const status = this.#waiter.waitFor(pid, STOP_DEADLINE_MS);
      if (status < 0 || !isStopStatus(status)) break;
      if (stopEvent(status) === PTRACE_EVENT.STOP) return;
      this.#ptrace.resume(pid, PTRACE.CONT, 0);
    }
    throw systemCallError(ERRNO.ESRCH, `${doing}: the process ended before it began`);
  }

  #startStandIn({ stdio }: LaunchOptions, doing: string): number {
    const standIn = existsSync(SLEEP)
      ? { command: SLEEP, args: [STAND_IN_S] }
      : { command: process.execPath, args: ['-e', NODE_SLEEP] };
    const pid = spawnProgram(new ProgramImage({ ...standIn, env: [] }), stdio);
    if (pid < 0) throw systemCallError(-pid, doing);
    return pid;
  }

  #becomeProgram(pid: number, launch: LaunchOptions, wanted: ProgramImage, doing: string): void {
    const { cwd, filter } = launch;
    const size = wanted.size + PLACE_BYTES + Buffer.byteLength(cwd ?? '') + (filter?.length ?? 0);
    if (size > MAX_STRINGS_BYTES) throw systemCallError(ERRNO.E2BIG, doing);
    const made = this.#call(pid, SYSTEM_CALL.mmap, [
      0n,
      BigInt(size),
      PROT_READ_WRITE,
      MAP_PRIVATE_ANONYMOUS,
      -1n,
      0n,
    ]);
    if (made < 0n) throw systemCallError(Number(-made), doing);

    const image = new StringsImage(made, Buffer.alloc(size));
    const { attempts, shell, envp } = wanted.layOut(image);
    const folder = image.putString(cwd ?? '.');
    const instructions = filter === undefined ? 0n : image.put(filter);
    const program = image.put(
      new Uint8Array(BigUint64Array.of(BigInt((filter?.length ?? 0) / 8), instructions).buffer),
    );
    const written = this.#ptrace.writeMemory(pid, made, image.bytes);
    if (written < 0) throw systemCallError(-written, doing);

    if (cwd !== undefined) {
      const moved = this.#call(pid, SYSTEM_CALL.chdir, [folder]);
      if (moved < 0n) throw systemCallError(Number(-moved), `${doing} in ${cwd}`);
    }
    if (filter !== undefined) this.#installFilter(pid, program, doing);

    let failed: number = ERRNO.ENOENT;
    for (const { file, argv, shellArgv } of attempts) {
      let answer = this.#caller.callUnsafely(pid, SYSTEM_CALL.execve, [file, argv, envp]);
      if (answer.kind === 'answered' && answer.value === BigInt(-ENOEXEC))
        answer = this.#caller.callUnsafely(pid, SYSTEM_CALL.execve, [shell, shellArgv, envp]);
      if (answer.kind === 'executed') {
        // The remote call blocked all signals, and exec keeps that.
        this.#ptrace.writeSignalMask(pid, new BigUint64Array(16));
        return;
      }
      failed = answer.kind === 'answered' ? Number(-answer.value) : -answer.errno;
    }
    throw systemCallError(failed, doing);
  }

  /** Root may filter as it is; others have to give up set-user-ID programs first (seccomp(2)). */
  #installFilter(pid: number, program: bigint, doing: string): void {
    let answer = this.#call(pid, SYSTEM_CALL.seccomp, [SECCOMP_SET_MODE_FILTER, 0n, program]);
    if (answer === BigInt(-ERRNO.EACCES)) {
      this.#call(pid, SYSTEM_CALL.prctl, [PR_SET_NO_NEW_PRIVS, 1n]);
      answer = this.#call(pid, SYSTEM_CALL.seccomp, [SECCOMP_SET_MODE_FILTER, 0n, program]);
    }
    if (answer < 0n) throw systemCallError(Number(-answer), `${doing}: filter its system calls`);
  }

  #call(pid: number, number: number, args: readonly bigint[]): bigint {
    const answer = this.#caller.callUnsafely(pid, number, args);
    return answer.kind === 'answered'
      ? answer.value
      : BigInt(answer.kind === 'failed' ? answer.errno : -ERRNO.EIO);
  }
}

/** Why the stand-in cannot be traced: whoever traces us has it from its birth. */
function seizeError(pid: number, errno: number, doing: string): ErrnoError {
  const tracerPid = traceeStatus(pid)?.tracerPid ?? 0;
  if (tracerPid === 0) return systemCallError(errno, `${doing}: trace it`);
  const tracer = traceeStatus(tracerPid)?.name ?? '?';
  return new ErrnoError(
    'EPERM',
    `Cannot ${doing}: ${tracer} (process ${tracerPid}) traces this process and all that it starts; end that first`,
  );
}
