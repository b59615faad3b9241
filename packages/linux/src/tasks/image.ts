/**
 * The fingerprint of the program image that a task runs: equal in a forked child, another after exec.
 *
 * The addresses at which execve(2) put code, data, heap and stack are it. They come with `stat`, are random by
 * address space layout randomization (at least 2^31 possibilities on 64 bits), copied by fork, and reading them
 * touches no memory of the task, so nothing it does with its pages (userfaultfd(2), a stuck file system) can hold us.
 *
 * Where they are not random enough, for 32-bit programs and with randomization off (personality(2),
 * ADDR_NO_RANDOMIZE: debuggers do that), the 16 random bytes that AT_RANDOM of getauxval(3) points to are added. They
 * are in the task's memory, on the first page of its stack: it is read only when /proc/TID/pagemap says that the page
 * is there. A task that takes the page away in the few microseconds between could hold us up, but only after it gave
 * up randomization for it, and only one whose memory we may read.
 */
import type { Tid } from '@usertrace/base';
import { type MemoryLayout, readTaskFile } from './procfs.ts';

/** getauxval(3). */
const AT_RANDOM = 25n;
const AT_NULL = 0n;
const RANDOM_BYTES = 16;
const PAGE_BYTES = 4096;
/** Documentation/admin-guide/mm/pagemap.rst: one u64 for each page, the top bit says that it is present. */
const PAGEMAP_ENTRY_BYTES = 8;
const PAGE_IS_PRESENT = 63n;

/** 32-bit programs live below. */
const END_OF_32_BITS = 2 ** 32;
/** Arguments and environment of a program take 6 MiB at most (execve(2)); the stack's bottom is below them. */
const MAX_ARGUMENT_BYTES = 8 << 20;

/**
 * The fingerprint of a task's image.
 *
 * @param tid the task
 * @param layout what its `stat` says
 * @returns a text to be compared, or undefined when it cannot be known now
 */
export function imageFingerprint(tid: Tid, layout: MemoryLayout): string | undefined {
  if (isRandomised(layout.stack)) return layout.addresses;
  const random = readRandomBytes(tid, layout.stack);
  return random === undefined ? undefined : `${layout.addresses},${random}`;
}

/**
 * Whether the kernel moved the stack by a random distance. If not, it begins right below the end of the address
 * space, which is a power of two (2^47 on x86-64 and 2^48 on arm64, less a page on the former). With randomization
 * (2^34 bytes on x86-64) one in 2,048 stacks is so near by chance; it is then only looked at more closely.
 *
 * @param stack the address of its bottom
 */
export function isRandomised(stack: number): boolean {
  if (stack < END_OF_32_BITS) return false;
  return 2 ** Math.ceil(Math.log2(stack)) - stack > MAX_ARGUMENT_BYTES;
}

function readRandomBytes(tid: Tid, stack: number): string | undefined {
  const vector = readTaskFile(`/proc/${tid}/auxv`, 0, PAGE_BYTES);
  if (typeof vector === 'string') return undefined;
  const address = findAuxiliary(vector, AT_RANDOM, stack < END_OF_32_BITS ? 4 : 8);
  if (address === undefined) return undefined;
  const pageNumber = Math.floor(Number(address) / PAGE_BYTES);
  const entry = readTaskFile(`/proc/${tid}/pagemap`, pageNumber * PAGEMAP_ENTRY_BYTES, PAGEMAP_ENTRY_BYTES);
  if (typeof entry === 'string' || entry.length < PAGEMAP_ENTRY_BYTES) return undefined;
  if (((entry.readBigUInt64LE(0) >> PAGE_IS_PRESENT) & 1n) === 0n) return undefined;
  const bytes = readTaskFile(`/proc/${tid}/mem`, Number(address), RANDOM_BYTES);
  if (typeof bytes === 'string' || bytes.length < RANDOM_BYTES) return undefined;
  return bytes.toString('hex');
}

/**
 * Finds a value in an auxiliary vector, which is pairs of words: a type and a value.
 *
 * @param vector the bytes of /proc/TID/auxv
 * @param type what is looked for
 * @param wordBytes 4 for a 32-bit program, 8 for another
 */
export function findAuxiliary(vector: Buffer, type: bigint, wordBytes: 4 | 8): bigint | undefined {
  const word = (offset: number): bigint =>
    wordBytes === 8 ? vector.readBigUInt64LE(offset) : BigInt(vector.readUInt32LE(offset));
  for (let offset = 0; offset + 2 * wordBytes <= vector.length; offset += 2 * wordBytes) {
    const found = word(offset);
    if (found === type) return word(offset + wordBytes);
    if (found === AT_NULL) return undefined;
  }
  return undefined;
}
