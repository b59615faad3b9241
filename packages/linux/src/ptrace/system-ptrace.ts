/**
 * ptrace(2) of this thread, request by request. Each answers 0 (or a count) or the negative error number, and never
 * throws: ESRCH when the task is not stopped, died, or is not traced by this thread.
 *
 * A thread id is safe in here: while a task is traced and its end was not waited for, nobody else gets its id; the waiter
 * tells of each end at once.
 */
import {
  PTRACE,
  type Registers,
  type SignalInformation,
  SYSTEM_CALL_INFO_BYTES,
  SystemCallStop,
  WAIT_OPTION,
} from '@usertrace/abi';
import { addressOf, failure, libc, SYSTEM_CALL } from '../bindings.ts';
import { closeDescriptor, O, openDescriptor } from '../descriptor.ts';

/** Requests to traced tasks. */
export class SystemPtrace {
  /** What `readSystemCall` filled last. */
  readonly systemCall: SystemCallStop = new SystemCallStop();
  /** Looked up once: a stop makes five calls. */
  readonly #libc = libc();
  readonly #systemCallAddress = addressOf(this.systemCall.bytes);
  readonly #message = new BigUint64Array(16);
  /** struct iovec for our side and for the other. */
  readonly #vectors = new BigUint64Array(16);
  readonly #vectorsAddress = addressOf(this.#vectors);
  /** Where memory was read into last, and its address: mostly it is the same again. */
  #knownMemory: Uint8Array | undefined;
  #knownAddress = 0;

  /** Begins to trace a task without stopping it (PTRACE_SEIZE). */
  seize(tid: number, options: number): number {
    return failure(this.#libc.ptrace(PTRACE.SEIZE, tid, 0, options));
  }

  setOptions(tid: number, options: number): number {
    return failure(this.#libc.ptrace(PTRACE.SETOPTIONS, tid, 0, options));
  }

  /** Makes a running task stop soon, with PTRACE_EVENT_STOP. */
  interrupt(tid: number): number {
    return failure(this.#libc.ptrace(PTRACE.INTERRUPT, tid, 0, 0));
  }

  /**
   * Lets a stopped task run.
   *
   * @param request PTRACE.CONT, SYSCALL, SINGLESTEP or SINGLEBLOCK
   * @param signal delivered to it, if it stopped for a signal; or 0
   */
  resume(tid: number, request: number, signal: number): number {
    const answer = this.#libc.ptrace(request, tid, 0, signal);
    return answer < 0 ? failure(answer) : 0;
  }

  /** Leaves a task in its group stop, from which SIGCONT wakes it (PTRACE_LISTEN). */
  listen(tid: number): number {
    return failure(this.#libc.ptrace(PTRACE.LISTEN, tid, 0, 0));
  }

  /** Ends tracing a stopped task and lets it run. */
  detach(tid: number, signal: number): number {
    return failure(this.#libc.ptrace(PTRACE.DETACH, tid, 0, signal));
  }

  /** The number that came with an event: a child's id, an exit status, a former thread id. */
  eventMessage(tid: number): number {
    const answer = this.#libc.ptrace(PTRACE.GETEVENTMSG, tid, 0, this.#message);
    return answer < 0 ? failure(answer) : Number(this.#message[0]);
  }

  /**
   * Something that happened to a task and was not told (waitpid(2) for it alone).
   *
   * @returns the status, told by this; undefined when nothing happened
   */
  poll(tid: number): number | undefined {
    const answer = this.#libc.waitpid(tid, this.#message, WAIT_OPTION.ALL | WAIT_OPTION.NOHANG);
    return answer === tid ? Number(BigInt.asIntN(32, this.#message[0] as bigint)) : undefined;
  }

  /** Fills `systemCall`. */
  readSystemCall(tid: number): number {
    const size = SYSTEM_CALL_INFO_BYTES;
    const answer = this.#libc.ptrace(PTRACE.GET_SYSCALL_INFO, tid, size, this.#systemCallAddress);
    return answer < 0 ? failure(answer) : 0;
  }

  readSignal(tid: number, into: SignalInformation): number {
    return failure(this.#libc.ptrace(PTRACE.GETSIGINFO, tid, 0, into.bytes));
  }

  readRegisters(tid: number, into: Registers): number {
    return failure(this.#libc.ptrace(PTRACE.GETREGS, tid, 0, into.words));
  }

  writeRegisters(tid: number, from: Registers): number {
    return failure(this.#libc.ptrace(PTRACE.SETREGS, tid, 0, from.words));
  }

  /** Reads or writes the mask of blocked signals, a u64 with bit N-1 for signal N. */
  readSignalMask(tid: number, into: BigUint64Array): number {
    return failure(this.#libc.ptrace(PTRACE.GETSIGMASK, tid, 8, into));
  }

  writeSignalMask(tid: number, from: BigUint64Array): number {
    return failure(this.#libc.ptrace(PTRACE.SETSIGMASK, tid, 8, from));
  }

  /**
   * Reads a task's memory (process_vm_readv(2)).
   *
   * @param into where to, from `offset` on
   * @param size in bytes; as much as there is room for, if left out
   * @returns the count of bytes, fewer where mapped memory ends; or the negative error number
   */
  readMemory(
    tid: number,
    address: bigint,
    into: Uint8Array,
    offset = 0,
    size: number = into.length - offset,
  ): number {
    if (size === 0) return 0;
    if (into !== this.#knownMemory) {
      this.#knownMemory = into;
      this.#knownAddress = addressOf(into);
    }
    this.#vectors[0] = BigInt(this.#knownAddress + offset);
    this.#vectors[1] = BigInt(size);
    this.#vectors[2] = address;
    this.#vectors[3] = BigInt(size);
    const ours = this.#vectorsAddress;
    return failure(this.#libc.syscall(SYSTEM_CALL.process_vm_readv, tid, ours, 1, ours + 16, 1, 0));
  }

  /**
   * Writes a traced task's memory, also where the task itself may only read (proc_pid_mem(5)).
   *
   * @returns the count of bytes, or the negative error number
   */
  writeMemory(tid: number, address: bigint, from: Uint8Array): number {
    const fd = openDescriptor(`/proc/${tid}/mem`, O.RDWR);
    if (fd < 0) return fd;
    const count = failure(this.#libc.pwrite(fd, from, from.length, address));
    closeDescriptor(fd);
    return count;
  }
}
