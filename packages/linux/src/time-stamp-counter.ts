/**
 * The processor's time stamp counter, read together with CLOCK_MONOTONIC, so that times of one can be told in the other. JavaScript
 * cannot read it; some instructions of our own do, and ask the kernel for the clock in between: the two are then apart by as much
 * as a system call takes, some 150 ns.
 *
 * It is the same on all CPUs where the kernel has taken it for its clock source, or the processor calls it invariant.
 */
import { addressOf, checked, functionAt, libc, viewOf } from './bindings.ts';

const CODE_PAGE_SIZE = 4096;
const PROT = { READ_WRITE: 3, READ_EXECUTE: 5 } as const;
const MAP_PRIVATE_ANONYMOUS = 0x22;
/** The closest of so many readings is taken: an interrupt in between makes one worth nothing. */
const ATTEMPTS = 3;

/** What it leaves where rdi points: the counter before and after, and between the two the clock's seconds and nanoseconds. */
const CODE: readonly string[] = [
  '53', // push rbx
  '48 89 fb', // mov rbx, rdi
  '0f 01 f9', // rdtscp
  '48 c1 e2 20', // shl rdx, 32
  '48 09 d0', // or rax, rdx
  '48 89 03', // mov [rbx], rax
  'b8 e4 00 00 00', // mov eax, 228: clock_gettime(CLOCK_MONOTONIC, rbx + 16)
  'bf 01 00 00 00', // mov edi, 1
  '48 8d 73 10', // lea rsi, [rbx + 16]
  '0f 05', // syscall
  '0f 01 f9', // rdtscp
  '48 c1 e2 20', // shl rdx, 32
  '48 09 d0', // or rax, rdx
  '48 89 43 08', // mov [rbx + 8], rax
  '5b', // pop rbx
  '31 c0', // xor eax, eax
  'c3', // ret
];

/** The counter and the clock at one moment. */
export interface CounterReading {
  readonly counter: bigint;
  /** CLOCK_MONOTONIC nanoseconds. */
  readonly timeNs: bigint;
}

const values = new BigUint64Array(16);
let read: (() => void) | undefined;

/**
 * Reads both. Costs about a microsecond.
 *
 * @throws {ErrnoError} when no memory may be made executable
 */
export function readCounter(): CounterReading {
  read ??= makeReader();
  let best: CounterReading | undefined;
  let bestSpan = 0n;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    read();
    const [before = 0n, after = 0n, seconds = 0n, nanoseconds = 0n] = values;
    const span = after - before;
    if (best !== undefined && span >= bestSpan) continue;
    bestSpan = span;
    best = { counter: before + span / 2n, timeNs: seconds * 1_000_000_000n + nanoseconds };
  }
  return best as CounterReading;
}

function makeReader(): () => void {
  const doing = 'make the code that reads the time stamp counter';
  const address = checked(
    libc().mmap(null, CODE_PAGE_SIZE, PROT.READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0),
    doing,
  );
  new Uint8Array(viewOf(address, CODE_PAGE_SIZE)).set(Buffer.from(CODE.join('').replaceAll(' ', ''), 'hex'));
  checked(libc().mprotect(address, CODE_PAGE_SIZE, PROT.READ_EXECUTE), doing);
  const code = functionAt(address);
  const valuesAddress = addressOf(values);
  return () => void code(valuesAddress);
}
