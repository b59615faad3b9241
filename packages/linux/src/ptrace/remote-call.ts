/**
 * System calls that a stopped task makes for its tracer.
 *
 * The task is sent to a `syscall` instruction in its memory, with all signals blocked, so that none comes in between;
 * after that its registers and its mask are as before, and it is stopped anew (PTRACE_INTERRUPT) at the edge of user mode. A
 * call that was interrupted by the first stop is restarted by the kernel as if nothing had been.
 *
 * Should the tracer be killed meanwhile, the task finds back by itself: it makes the call from a RemoteRefuge in its memory. The
 * call that maps the refuge, the first one of a program, is made from the vDSO and has no such net.
 *
 * This is possible at a stop with PTRACE_EVENT_STOP and after a system call's exit, where the registers are those of user
 * mode; not in the middle of a system call, and not for a signal, which would be lost.
 */
import { readFileSync } from 'node:fs';
import {
  isStopStatus,
  PTRACE,
  PTRACE_EVENT,
  Registers,
  SIGNAL,
  stopEvent,
  stopSignal,
  SYSTEM_CALL_STOP,
} from '@usertrace/abi';
import { ERRNO } from '@usertrace/base';
import { SYSTEM_CALL } from '../bindings.ts';
import {
  isRefuge,
  REFUGE_BYTES,
  REFUGE_HEADER_BYTES,
  refugeBytes,
  type RefugeFrame,
  refugeFrame,
  refugeValues,
  USUAL_ADDRESS,
} from './remote-refuge.ts';
import type { StopWaiter } from './stop-waiter.ts';
import type { SystemPtrace } from './system-ptrace.ts';

/** A remote call that takes longer is interrupted, and answers EINTR. */
const DEADLINE_MS = 200;
/** How long a task may take to stop otherwise: it has to get a CPU. */
const STOP_DEADLINE_MS = 5_000;
/** Stops of other kinds that may come in between. */
const MAX_OTHER_STOPS = 32;

const AT_SYSINFO_EHDR = 33n;
/** The vDSO has two pages of code at most. */
const VDSO_BYTES = 8_192;
/** SIGTRAP and SIGILL in a set of signals. */
const BREAKPOINT_BITS = (1n << BigInt(SIGNAL.TRAP - 1)) | (1n << BigInt(SIGNAL.ILL - 1));
const PROT_READ_EXEC = 5n;
const MAP_PRIVATE_ANONYMOUS = 0x22n;
const MAP_FIXED_NOREPLACE = 0x10_0000n;
/** Programs in which the refuge is elsewhere than usual. */
const MAX_ADDRESSES = 16;
const SYSCALL_INSTRUCTION = Buffer.from([0x0f, 0x05]);

/** How a remote call ended. */
export type RemoteAnswer =
  /** It answered, an error as its negative number; and the task stopped again, with that status of waitpid(2). */
  | { readonly kind: 'answered'; readonly value: bigint; readonly status: number }
  /** It replaced the program: the task is stopped at PTRACE_EVENT_EXEC, nothing is restored. */
  | { readonly kind: 'executed' }
  /** It could not be made; the negative error number. ESRCH: the task died, of which the listener is told. */
  | { readonly kind: 'failed'; readonly errno: number };

/** Makes remote calls. */
export class RemoteCaller {
  readonly #ptrace: SystemPtrace;
  readonly #waiter: StopWaiter;
  readonly #mask = new BigUint64Array(16);
  /** Where refuges are in programs that have one, as far as is known. */
  #addresses: readonly bigint[] = [USUAL_ADDRESS];
  /** Calls that were made. A tracer begins anywhere: see refugeFrame. */
  #count: number = process.pid;
  readonly #allSignals = new BigUint64Array(16).fill(0xffff_ffff_ffff_ffffn);

  constructor(ptrace: SystemPtrace, waiter: StopWaiter) {
    this.#ptrace = ptrace;
    this.#waiter = waiter;
  }

  /**
   * Makes a task call the system, from a refuge that is mapped if there is none.
   *
   * @param tid a task that is stopped as said above
   * @param number of the system call; none that makes a task or ends one
   * @param args at most six
   * @returns EAGAIN for a task that has run into a breakpoint of which it was not told yet: it has to go on first
   */
  call(tid: number, number: number, args: readonly bigint[]): RemoteAnswer {
    // Delivered in the refuge, it would be at another address than its breakpoint's.
    if (hasPendingBreakpoint(tid)) return { kind: 'failed', errno: -ERRNO.EAGAIN };
    const refuge = this.#findRefuge(tid) ?? this.#mapRefuge(tid);
    if (refuge !== undefined) return this.#make(tid, number, args, refugeFrame(refuge, this.#count++));
    return this.callUnsafely(tid, number, args);
  }

  /** The same without a refuge: for a task that is nobody's yet, and may be left in the middle. */
  callUnsafely(tid: number, number: number, args: readonly bigint[]): RemoteAnswer {
    return this.#make(tid, number, args, undefined);
  }

  #make(tid: number, number: number, args: readonly bigint[], frame: RefugeFrame | undefined): RemoteAnswer {
    const saved = new Registers();
    const instruction = frame?.code ?? this.#findInstruction(tid);
    if (instruction === undefined) return { kind: 'failed', errno: -ERRNO.EIO };
    const read = this.#ptrace.readRegisters(tid, saved) || this.#ptrace.readSignalMask(tid, this.#mask);
    if (read < 0) return this.#failed(read);
    if (frame !== undefined) {
      const values = refugeValues(saved, this.#mask[0] as bigint);
      const written = this.#ptrace.writeMemory(tid, frame.values, values);
      if (written !== values.length) return this.#failed(written < 0 ? written : -ERRNO.EFAULT);
    }
    const registers = saved.clone();
    registers.set('rip', instruction);
    registers.set('rax', BigInt(number));
    registers.set('orig_rax', -1n);
    for (let index = 0; index < 6; index++) registers.setArgument(index, args[index] ?? 0n);
    // From here to the last line its registers lead it back, and the refuge unblocks its signals: in this order.
    const written =
      this.#ptrace.writeRegisters(tid, registers) || this.#ptrace.writeSignalMask(tid, this.#allSignals);
    if (written < 0) return this.#failed(written);

    const entered = this.#runToSystemCallStop(tid, STOP_DEADLINE_MS);
    if (entered !== 'stopped') return this.#failed(typeof entered === 'number' ? entered : -ERRNO.EIO);
    const left = this.#runToSystemCallStop(tid, DEADLINE_MS);
    if (left === 'executed') return { kind: 'executed' };
    if (left !== 'stopped') return this.#failed(left);
    const asked = this.#ptrace.readSystemCall(tid);
    if (asked < 0) return this.#failed(asked);
    const value = this.#ptrace.systemCall.wideResult;
    this.#ptrace.writeSignalMask(tid, this.#mask);
    this.#ptrace.writeRegisters(tid, saved);
    const status = this.#stopAgain(tid);
    return status < 0 ? this.#failed(status) : { kind: 'answered', value, status };
  }

  /** Where the task's memory has a refuge. */
  #findRefuge(tid: number): bigint | undefined {
    const header = new Uint8Array(REFUGE_HEADER_BYTES);
    return this.#addresses.find(
      (address) =>
        this.#ptrace.readMemory(tid, address, header) === header.length && isRefuge(header, address),
    );
  }

  /** Not in a program with a seccomp filter, which might kill it for what it would never do itself. */
  #mapRefuge(tid: number): bigint | undefined {
    if (hasFilter(tid)) return undefined;
    const flags = MAP_PRIVATE_ANONYMOUS | MAP_FIXED_NOREPLACE;
    const size = BigInt(REFUGE_BYTES);
    for (const [address, how] of [
      [USUAL_ADDRESS, flags],
      [0n, MAP_PRIVATE_ANONYMOUS],
    ] as const) {
      const answer = this.callUnsafely(tid, SYSTEM_CALL.mmap, [address, size, PROT_READ_EXEC, how, -1n, 0n]);
      if (answer.kind !== 'answered') return undefined;
      if (answer.value < 0n) continue;
      // An old kernel takes the address for a wish.
      const place = answer.value;
      if (this.#ptrace.writeMemory(tid, place, refugeBytes(place)) !== REFUGE_BYTES) return undefined;
      if (!this.#addresses.includes(place))
        this.#addresses = [USUAL_ADDRESS, place, ...this.#addresses.slice(1)].slice(0, MAX_ADDRESSES);
      return place;
    }
    return undefined;
  }

  /** A `syscall` instruction in the task's memory. */
  #findInstruction(tid: number): bigint | undefined {
    let vector: Buffer;
    try {
      vector = readFileSync(`/proc/${tid}/auxv`);
    } catch {
      return undefined;
    }
    for (let at = 0; at + 16 <= vector.length; at += 16) {
      if (vector.readBigUInt64LE(at) !== AT_SYSINFO_EHDR) continue;
      const start = vector.readBigUInt64LE(at + 8);
      const code = Buffer.alloc(VDSO_BYTES);
      const size = this.#ptrace.readMemory(tid, start, code);
      const found = size > 0 ? code.subarray(0, size).indexOf(SYSCALL_INSTRUCTION) : -1;
      return found < 0 ? undefined : start + BigInt(found);
    }
    return undefined;
  }

  /** Lets the task run to its next entry or exit of a system call. */
  #runToSystemCallStop(tid: number, deadlineMs: number): 'stopped' | 'executed' | number {
    let isInterrupted = false;
    for (let other = 0; other < MAX_OTHER_STOPS; other++) {
      const resumed = this.#ptrace.resume(tid, PTRACE.SYSCALL, 0);
      if (resumed < 0) return resumed;
      let status = this.#waiter.waitFor(tid, deadlineMs);
      if (status === -ERRNO.EAGAIN && !isInterrupted) {
        isInterrupted = true;
        this.#ptrace.interrupt(tid);
        status = this.#waiter.waitFor(tid, STOP_DEADLINE_MS);
      }
      if (status < 0) return status;
      if (!isStopStatus(status) || stopEvent(status) === PTRACE_EVENT.EXIT) {
        this.#waiter.handBack(tid, status);
        return -ERRNO.ESRCH;
      }
      if (stopSignal(status) === SYSTEM_CALL_STOP) return 'stopped';
      if (stopEvent(status) === PTRACE_EVENT.EXEC) return 'executed';
    }
    return -ERRNO.EIO;
  }

  /** Brings the task from the call's exit to a stop at the edge of user mode, and answers its status. */
  #stopAgain(tid: number): number {
    const asked = this.#ptrace.interrupt(tid) || this.#ptrace.resume(tid, PTRACE.CONT, 0);
    if (asked < 0) return asked;
    const status = this.#waiter.waitFor(tid, STOP_DEADLINE_MS);
    if (status < 0 || (isStopStatus(status) && stopEvent(status) !== PTRACE_EVENT.EXIT)) return status;
    this.#waiter.handBack(tid, status);
    return -ERRNO.ESRCH;
  }

  #failed(errno: number): RemoteAnswer {
    return { kind: 'failed', errno };
  }
}

/** Whether the signal of a breakpoint waits for the task. */
function hasPendingBreakpoint(tid: number): boolean {
  const pending = statusField(tid, 'SigPnd') ?? '0';
  return (BigInt(`0x${pending}`) & BREAKPOINT_BITS) !== 0n;
}

function hasFilter(tid: number): boolean {
  return statusField(tid, 'Seccomp') !== '0';
}

/** A field of /proc/TID/status (proc_pid_status(5)). */
function statusField(tid: number, name: string): string | undefined {
  try {
    return new RegExp(`^${name}:\\t(.*)$`, 'mu').exec(readFileSync(`/proc/${tid}/status`, 'latin1'))?.[1];
  } catch {
    return undefined;
  }
}
