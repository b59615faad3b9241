/**
 * The fingerprint of the program image that a task runs: equal in a forked child, another after exec.
 *
 * The addresses at which execve(2) put code, data, heap and stack are it. They come with `stat`, are random by
 * address space layout randomization (at least 2^31 possibilities on 64 bits), copied by fork, and reading them
 * touches no memory of the task, so nothing it does with its pages (userfaultfd(2), a stuck file system) can hold us.
 *
 * Where they are not random enough, for 32-bit programs and with randomization off (personality(2),
 * ADDR_NO_RANDOMIZE: debuggers do that), there is none: another image could have the same. The 16 random bytes that
 * AT_RANDOM of getauxval(3) points to would tell, but they lie in a page that the task may take away.
 *
 * The process connector makes up for that: it tells who made whom, and `TaskStat.hasExeced` whether a child still has the
 * memory it was made with. Without it the children of such programs inherit nothing. That a child has not execed says
 * that it has its maker's memory, but not who that was, when it was adopted (PR_SET_CHILD_SUBREAPER shows nowhere): it
 * may be another run of the same program, with the same addresses, that registered nothing.
 */
import type { Tid } from '@usertrace/base';
import { type MemoryLayout, readTaskFile } from './procfs.ts';

/** personality(2). */
const ADDR_NO_RANDOMIZE = 0x40000;
/** `2\n` and `00040000\n` are the longest of what is read. */
const MAX_FILE_BYTES = 16;

/** 32-bit programs live below. */
const END_OF_32_BITS = 2 ** 32;
/** Arguments and environment of a program take 6 MiB at most (execve(2)); the stack's bottom is below them. */
const MAX_ARGUMENT_BYTES = 8 << 20;

/**
 * The fingerprint of a task's image.
 *
 * @param tid the task
 * @param layout what its `stat` says
 * @returns a text to be compared, or undefined when its addresses do not tell it from other images
 */
export function imageFingerprint(tid: Tid, layout: MemoryLayout): string | undefined {
  return looksRandomised(layout.stack) || isRandomised(tid, layout.stack) ? layout.addresses : undefined;
}

/** Asks the kernel. */
function isRandomised(tid: Tid, stack: number): boolean {
  if (stack < END_OF_32_BITS) return false;
  const setting = readTaskFile('/proc/sys/kernel/randomize_va_space', 0, MAX_FILE_BYTES);
  if (typeof setting === 'string' || setting.toString().startsWith('0')) return false;
  const personality = readTaskFile(`/proc/${tid}/personality`, 0, MAX_FILE_BYTES);
  if (typeof personality === 'string') return false;
  return (Number.parseInt(personality.toString(), 16) & ADDR_NO_RANDOMIZE) === 0;
}

/**
 * Whether the kernel moved the stack by a random distance. If not, it begins right below the end of the address
 * space, which is a power of two (2^47 on x86-64 and 2^48 on arm64, less a page on the former). With randomization
 * (2^34 bytes on x86-64) one in 2,048 stacks is so near by chance; then the kernel has to be asked.
 *
 * @param stack the address of its bottom
 */
export function looksRandomised(stack: number): boolean {
  if (stack < END_OF_32_BITS) return false;
  return 2 ** Math.ceil(Math.log2(stack)) - stack > MAX_ARGUMENT_BYTES;
}
