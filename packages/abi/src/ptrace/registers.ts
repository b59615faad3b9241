/**
 * `struct user_regs_struct` of x86-64 (sys/user.h): 27 words in the kernel's order, in a buffer of the owner's that
 * ptrace(2) reads and writes in place.
 */

/** The registers in the order of the structure. */
const REGISTER_NAMES = [
  'r15',
  'r14',
  'r13',
  'r12',
  'rbp',
  'rbx',
  'r11',
  'r10',
  'r9',
  'r8',
  'rax',
  'rcx',
  'rdx',
  'rsi',
  'rdi',
  'orig_rax',
  'rip',
  'cs',
  'eflags',
  'rsp',
  'ss',
  'fs_base',
  'gs_base',
  'ds',
  'es',
  'fs',
  'gs',
] as const;

/** The name of a register. */
export type RegisterName = (typeof REGISTER_NAMES)[number];

const INDEX = Object.fromEntries(REGISTER_NAMES.map((name, index) => [name, index])) as Record<
  RegisterName,
  number
>;

/** The registers that hold a system call's arguments, in order (syscall(2)). */
const ARGUMENT_REGISTERS = ['rdi', 'rsi', 'rdx', 'r10', 'r8', 'r9'] as const;

/** A copy of a task's general registers. */
export class Registers {
  /** The structure, as the kernel wants it. */
  readonly words: BigUint64Array = new BigUint64Array(REGISTER_NAMES.length);

  get(name: RegisterName): bigint {
    return this.words[INDEX[name]] as bigint;
  }

  /** @param value its low 64 bits are taken */
  set(name: RegisterName, value: bigint): void {
    this.words[INDEX[name]] = BigInt.asUintN(64, value);
  }

  /**
   * A system call's argument.
   *
   * @param index from 0 to 5
   */
  setArgument(index: number, value: bigint): void {
    const name = ARGUMENT_REGISTERS[index];
    if (name !== undefined) this.set(name, value);
  }

  clone(): Registers {
    const copy = new Registers();
    copy.words.set(this.words);
    return copy;
  }
}

/** The general registers by their number in instructions (Intel SDM volume 2). */
export const GENERAL_REGISTERS = {
  rax: 0,
  rcx: 1,
  rdx: 2,
  rbx: 3,
  rsp: 4,
  rbp: 5,
  rsi: 6,
  rdi: 7,
  r8: 8,
  r9: 9,
  r10: 10,
  r11: 11,
  r12: 12,
  r13: 13,
  r14: 14,
  r15: 15,
} as const;
