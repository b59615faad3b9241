/**
 * The signal handler that a probed program has for SIGILL: what serves its breakpoints when nobody traces it. It looks the
 * breakpoint up in the region's table and sends the thread on in the instruction's slot. While a tracer lives it never runs: the
 * tracer gets each signal first.
 *
 *     (signal, siginfo, ucontext)
 *     code is not ILL_ILLOPN            -> not a breakpoint
 *     no entry has the address          -> what the program had for SIGILL before
 *     the breakpoint is gone            -> the thread runs what is there now: the instruction, or a jump
 *     else                              -> the thread goes on in the slot
 *
 * All signals are blocked while it runs (the mask that it is installed with): another handler on top of it would run into the
 * next breakpoint with SIGILL blocked, and for that the kernel kills. It uses no memory but the frame that the kernel made.
 */

import { BREAKPOINT } from '../breakpoint/breakpoint-set.ts';
import { CONDITION, MachineCode } from '../trampoline/machine-code.ts';
import type { SignalAction } from './signal-action.ts';
import { ILL_BIT, SA_NODEFER, SIG_DFL, SIG_IGN, SIGILL } from './signal-action.ts';

/** The most bytes that the code takes. */
export const FALLBACK_CODE_BYTES_MAX = 512;

/** One entry of the table: the breakpoint's address, its slot's, and the byte that int3 replaced. 8 bytes each. */
export const ENTRY = { instruction: 0, slot: 8, firstByte: 16, size: 24 } as const;

/** Offsets in the `ucontext_t` and `siginfo_t` of x86-64 (asm/ucontext.h, asm/sigcontext.h, asm-generic/siginfo.h). */
const CONTEXT = { rip: 168, mask: 296 } as const;
const INFORMATION_CODE = 8;
const ILL_ILLOPN = 2;
const SIG_SETMASK = 2;
/** Bytes of the kernel's sigset_t. */
const MASK_BYTES = 8;

/** Numbers of system calls. */
const CALL = {
  rtSigaction: 13,
  rtSigprocmask: 14,
  rtSigreturn: 15,
  getpid: 39,
  gettid: 186,
  tgkill: 234,
} as const;
/** Conditions of jcc that machine-code.ts does not need. */
const GREATER = 15;

/** Where things are in the program. */
export interface FallbackInput {
  /** Of the code. */
  readonly address: number;
  /** A u32: how many entries there are. */
  readonly countAddress: number;
  readonly entriesAddress: number;
  /** A struct sigaction that says SIG_DFL. */
  readonly defaultActionAddress: number;
  /** What the program had before. */
  readonly former: SignalAction;
}

/** The handler, and where in it sigreturn is called. */
export interface FallbackCode {
  readonly bytes: Uint8Array;
  readonly restorer: number;
}

/** Makes the handler for one program. */
export function makeFallbackCode(input: FallbackInput): FallbackCode {
  const code = new MachineCode(input.address);
  appendLookup(code, input);
  code.label('foreign');
  const { former } = input;
  if (former.handler === SIG_DFL) appendDefault(code, input.defaultActionAddress);
  else if (former.handler === SIG_IGN) appendIgnored(code, input.defaultActionAddress);
  else appendChained(code, former);
  const restorer = code.here;
  systemCall(code, CALL.rtSigreturn);
  return { bytes: code.finish(), restorer };
}

function appendLookup(code: MachineCode, { countAddress, entriesAddress }: FallbackInput): void {
  compareCode(code, ILL_ILLOPN).jumpIf(CONDITION.notEqual, 'foreign');
  code.load('rax', { base: 'rdx', displacement: CONTEXT.rip });
  code.lea('r8', { at: entriesAddress });
  code.withMemory32([0x8b], 1, { at: countAddress }); // mov ecx, [count]
  code.label('next').registerByte(0x83, 5, 'rcx', 1).jumpIf(CONDITION.below, 'foreign'); // sub rcx, 1
  code.withMemory([0x3b], 0, { base: 'r8', displacement: ENTRY.instruction }); // cmp rax, [r8]
  code.jumpIf(CONDITION.equal, 'ours');
  code.lea('r8', { base: 'r8', displacement: ENTRY.size }).jump('next');
  code.label('ours').raw(0x80, 0x38, BREAKPOINT).jumpIf(CONDITION.notEqual, 'done'); // cmp byte [rax]
  code.load('rax', { base: 'r8', displacement: ENTRY.slot });
  code.store({ base: 'rdx', displacement: CONTEXT.rip }, 'rax');
  code.label('done').raw(0xc3);
}

/**
 * The signal comes again, with the default action: it is blocked until the handler returns, and so the program ends with the
 * registers that it had.
 */
function appendDefault(code: MachineCode, defaultActionAddress: number): void {
  code.lea('rsi', { at: defaultActionAddress }).raw(0x31, 0xd2); // xor edx, edx
  code.constant('rdi', BigInt(SIGILL)).constant('r10', BigInt(MASK_BYTES));
  systemCall(code, CALL.rtSigaction);
  systemCall(code, CALL.getpid);
  code.move('rdi', 'rax');
  systemCall(code, CALL.gettid);
  code.move('rsi', 'rax').constant('rdx', BigInt(SIGILL));
  systemCall(code, CALL.tgkill);
  code.raw(0xc3);
}

/** What a process sends is ignored; what the kernel forces kills all the same. */
function appendIgnored(code: MachineCode, defaultActionAddress: number): void {
  compareCode(code, 0).jumpIf(GREATER, 'forced').raw(0xc3).label('forced');
  appendDefault(code, defaultActionAddress);
}

/** The program's own handler runs in our place, with the signals blocked that it asked for. */
function appendChained(code: MachineCode, { handler, flags, mask }: SignalAction): void {
  const blocked = (flags & SA_NODEFER) === 0n ? mask | ILL_BIT : mask;
  code.push('rdi').push('rsi').push('rdx');
  code.load('rax', { base: 'rdx', displacement: CONTEXT.mask });
  code.constant('rcx', blocked).registers([0x09], 'rax', 'rcx').push('rax'); // or
  code.move('rsi', 'rsp').raw(0x31, 0xd2); // xor edx, edx
  code.constant('rdi', BigInt(SIG_SETMASK)).constant('r10', BigInt(MASK_BYTES));
  systemCall(code, CALL.rtSigprocmask);
  code.pop('rax').pop('rdx').pop('rsi').pop('rdi');
  code.constant('rax', handler).raw(0xff, 0xe0); // jmp rax
}

/** `cmp dword [rsi + code], value` */
function compareCode(code: MachineCode, value: number): MachineCode {
  return code.memoryImmediate([0x81], 7, { base: 'rsi', displacement: INFORMATION_CODE }, value, false);
}

function systemCall(code: MachineCode, number: number): void {
  code.constant('rax', BigInt(number)).raw(0x0f, 0x05);
}
