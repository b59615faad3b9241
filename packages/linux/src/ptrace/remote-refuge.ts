/**
 * Memory in a traced program from which it makes system calls for its tracer, and from which it finds back by itself if the tracer
 * is killed meanwhile. Without it such a thread would run on with the registers of the call and all signals blocked.
 *
 *     header: what tells it, and where it is
 *     frame:  code:   syscall; flags; the registers that a call keeps; rt_sigprocmask; the others; jmp
 *             values: what the code loads
 *
 * The program cannot write it, and the code writes nothing: it only loads, from memory that the tracer has filled before. It stays
 * in the program, a fork's child has it too, and whoever traces later uses it again.
 */
import { GENERAL_REGISTERS, Registers, type RegisterName } from '@usertrace/abi';

const MAGIC = Buffer.from('usertrace remote calls 1');
const SELF_AT = MAGIC.length;
/** What has to be read for `isRefuge`. */
export const REFUGE_HEADER_BYTES: number = SELF_AT + 8;
/** Where it is mapped if nothing is there: found by every tracer. */
export const USUAL_ADDRESS = 0x6174_0000_0000n;
export const REFUGE_BYTES = 16_384;
const FRAME_BYTES = 512;
const VALUES_AT = 256;
const WORD_BYTES = 8;
/** The first frame's room is the header's. */
const FRAMES = REFUGE_BYTES / FRAME_BYTES - 1;

/** In the order in which they are loaded; the mask is for rt_sigprocmask, which uses the registers from rdi on. */
const KEPT = ['rbx', 'rbp', 'r8', 'r9', 'r12', 'r13', 'r14', 'r15'] as const;
const USED = ['rdi', 'rsi', 'rdx', 'r10', 'rcx', 'r11', 'rax'] as const;
const VALUES = ['mask', 'eflags', 'rsp', ...KEPT, ...USED, 'rip'] as const;
type Value = (typeof VALUES)[number];

/** Numbers of registers; others have none. */
const NUMBER: Readonly<Partial<Record<RegisterName, number>>> = GENERAL_REGISTERS;

/** How the kernel says that a call is to be made again (linux/errno.h): ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND. */
const AGAIN: ReadonlySet<bigint> = new Set([-512n, -513n, -514n]);
/** ERESTART_RESTARTBLOCK: by restart_syscall(2). */
const AGAIN_BY_RESTART = -516n;
const RESTART_SYSCALL = 219n;
const SYSCALL_BYTES = 2n;

const CODE = frameCode();

/** The bytes of a refuge that will be at an address. */
export function refugeBytes(address: bigint): Uint8Array {
  const bytes = Buffer.alloc(REFUGE_BYTES);
  bytes.set(MAGIC);
  bytes.writeBigUInt64LE(address, SELF_AT);
  for (let frame = 1; frame <= FRAMES; frame++) bytes.set(CODE, frame * FRAME_BYTES);
  return bytes;
}

/** Whether memory begins as a refuge at an address. */
export function isRefuge(bytes: Uint8Array, address: bigint): boolean {
  const header = Buffer.from(bytes.subarray(0, REFUGE_HEADER_BYTES));
  return (
    header.length === REFUGE_HEADER_BYTES &&
    header.subarray(0, SELF_AT).equals(MAGIC) &&
    header.readBigUInt64LE(SELF_AT) === address
  );
}

/** One call's place in a refuge. */
export interface RefugeFrame {
  /** Where the thread begins. */
  readonly code: bigint;
  readonly values: bigint;
}

/** @param number any; a thread that a dead tracer left may be in one of them for some microseconds yet */
export function refugeFrame(address: bigint, number: number): RefugeFrame {
  const code = address + BigInt((1 + (number % FRAMES)) * FRAME_BYTES);
  return { code, values: code + BigInt(VALUES_AT) };
}

/**
 * What the frame loads so that the thread is as it was; an interrupted call of its own is made again, as the kernel would.
 *
 * @param mask of blocked signals
 */
export function refugeValues(registers: Registers, mask: bigint): Uint8Array {
  const bytes = Buffer.alloc(VALUES.length * WORD_BYTES);
  const resumed = registers.clone();
  const answer = BigInt.asIntN(64, registers.get('rax'));
  const isInCall = BigInt.asIntN(64, registers.get('orig_rax')) >= 0n;
  if (isInCall && (AGAIN.has(answer) || answer === AGAIN_BY_RESTART)) {
    resumed.set('rax', AGAIN.has(answer) ? registers.get('orig_rax') : RESTART_SYSCALL);
    resumed.set('rip', registers.get('rip') - SYSCALL_BYTES);
  }
  for (const [index, name] of VALUES.entries())
    bytes.writeBigUInt64LE(
      name === 'mask' ? BigInt.asUintN(64, mask) : resumed.get(name),
      index * WORD_BYTES,
    );
  return bytes;
}

/** The code of a frame. Behind popfq nothing changes the flags; before rt_sigprocmask no signal comes, and then rsp is the program's. */
function frameCode(): Uint8Array {
  const code: number[] = [0x0f, 0x05];
  /** A 32-bit distance to a value from behind itself. */
  const distanceTo = (value: Value): void => {
    const distance = VALUES_AT + VALUES.indexOf(value) * WORD_BYTES - (code.length + 4);
    code.push(distance & 0xff, (distance >> 8) & 0xff, 0, 0);
  };
  const load = (register: Exclude<Value, 'mask' | 'eflags' | 'rip'>): void => {
    const number = NUMBER[register] ?? 0;
    code.push(0x48 | ((number >> 3) << 2), 0x8b, 0x05 | ((number & 7) << 3));
    distanceTo(register);
  };
  code.push(0x48, 0x8d, 0x25); // lea rsp, [eflags]
  distanceTo('eflags');
  code.push(0x9d); // popfq
  for (const register of ['rsp', ...KEPT] as const) load(register);
  code.push(0xb8, 14, 0, 0, 0, 0xbf, 2, 0, 0, 0, 0x48, 0x8d, 0x35); // mov eax, 14; mov edi, 2; lea rsi, [mask]
  distanceTo('mask');
  code.push(0xba, 0, 0, 0, 0, 0x41, 0xba, 8, 0, 0, 0, 0x0f, 0x05); // mov edx, 0; mov r10d, 8; syscall
  for (const register of USED) load(register);
  code.push(0xff, 0x25); // jmp [rip]
  distanceTo('rip');
  return Uint8Array.from(code);
}
