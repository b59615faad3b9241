/** How far a task is in a system call: between its entry and its exit there is only one, whose number is told at both. */
import { Registers, SYSTEM_CALL_OPERATION, type SystemCallStop } from '@usertrace/abi';
import type { Task } from './task.ts';

/** Where a task is between entry and exit. */
export class SystemCallProgress {
  /** Whether its entry was the last that was seen of it. */
  isInside = false;
  #number = -1;

  /**
   * A task stopped for a call.
   *
   * @param call what the kernel says; its number is filled in
   * @returns which end of the call it is at
   */
  advance(task: Task, call: SystemCallStop): 'entry' | 'exit' {
    if (call.operation === SYSTEM_CALL_OPERATION.EXIT) {
      this.isInside = false;
      call.number = this.#number < 0 ? numberOfCall(task) : this.#number;
      this.#number = -1;
      return 'exit';
    }
    this.isInside = true;
    this.#number = call.enteredNumber;
    call.number = this.#number;
    return 'entry';
  }

  /** The exit will not be seen. */
  forget(): void {
    this.isInside = false;
    this.#number = -1;
  }
}

/** Which call is at its exit, when tracing began in the middle of it. */
function numberOfCall(task: Task): number {
  const registers = new Registers();
  if (task.port.readRegisters(task.tid, registers) < 0) return -1;
  return Number(BigInt.asIntN(32, registers.get('orig_rax')));
}

/** A call whose number is -1 is not made, and answers ENOSYS (seccomp(2), "SECCOMP_RET_TRACE"). */
export function abortCall(task: Task): void {
  const registers = new Registers();
  if (task.port.readRegisters(task.tid, registers) < 0) return;
  registers.set('orig_rax', -1n);
  task.port.writeRegisters(task.tid, registers);
}
