/**
 * A step of a task: one instruction, or to the next branch. A step does not stop for system calls, so where those are reported
 * one is stepped over by its entry and its exit.
 */
import { PTRACE, Registers } from '@usertrace/abi';
import { Action } from './actions.ts';
import type { Task } from './task.ts';

const SYSCALL_INSTRUCTION = 0x050f;

/** A task's step. */
export class Step {
  /** Whether the task was let go for one, and did not stop for a signal since. */
  isActive = false;
  /** The step that was asked for and not completed. */
  wish: number = Action.RESUME;
  /** It ends with the exit of a system call. */
  isOverCall = false;
  /** The kernel set the processor's trap flag when the task went on last. */
  hasTrapFlag = false;

  /**
   * Begins one.
   *
   * @param wish SINGLESTEP or BLOCKSTEP
   * @param isInside whether the task is between entry and exit of a call
   * @param reportsCalls whether engines are told of its calls
   * @returns the ptrace request that lets the task go for it
   */
  begin(task: Task, wish: number, isInside: boolean, reportsCalls: boolean): number {
    this.isActive = true;
    this.wish = wish;
    if (reportsCalls && (isInside || isAtSystemCall(task))) {
      this.isOverCall = true;
      this.hasTrapFlag = false;
      return PTRACE.SYSCALL;
    }
    this.hasTrapFlag = true;
    return wish === Action.SINGLESTEP ? PTRACE.SINGLESTEP : PTRACE.SINGLEBLOCK;
  }

  end(): void {
    this.isActive = false;
    this.isOverCall = false;
    this.wish = Action.RESUME;
  }
}

function isAtSystemCall(task: Task): boolean {
  const registers = new Registers();
  const code = new Uint8Array(2);
  if (task.port.readRegisters(task.tid, registers) < 0) return false;
  if (task.port.readMemory(task.tid, registers.get('rip'), code) !== 2) return false;
  return ((code[1] as number) << 8) + (code[0] as number) === SYSCALL_INSTRUCTION;
}
