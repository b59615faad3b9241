/**
 * Which memory of a program stays mapped and readable for as long as it runs, whatever its threads do: what is read there can be read
 * without asking the kernel first. That is less than what is mapped now, since any thread may unmap any of it at any time.
 *
 * - The constants and the code of the program itself: the mappings that the kernel made from /proc/PID/exe. Programs that put huge pages
 *   there replace them in one step. The file cannot be written or cut while it runs (ETXTBSY).
 * - The upper end of the first thread's stack, as large as the kernel makes it for every program.
 *
 * Libraries are not among it: nothing keeps others from cutting their files, and dlclose(3) may unmap them. Nor is the heap: free(3) gives
 * back its end, and the stacks of other threads end with them.
 */

import { statSync } from 'node:fs';
import type { CertainMemory } from '../trampoline/copy-routine.ts';
import { AUXILIARY, auxiliaryVector } from './auxiliary-vector.ts';
import { fileIdentity, type Mapping, mappingAt } from './process-maps.ts';

/** The stack that a program begins with has this much at least (execve(2): the arguments come besides). */
const STACK_BYTES = 0x2_0000;
const PAGE_BYTES = 4096;

/**
 * @param pid of a process that lives
 * @param mappings of it, in their order
 * @returns ranges, the likeliest first
 * @throws {Error} ENOENT or ESRCH when it is gone
 */
export function certainMemory(pid: number, mappings: readonly Mapping[]): CertainMemory[] {
  const stack = mappings.find(({ path, identity }) => path === '[stack]' && identity === undefined);
  const ranges = [imageOf(pid, mappings)];
  if (stack?.isWritable === true)
    ranges.push({ start: Math.max(stack.start, stack.end - STACK_BYTES), end: stack.end });
  return ranges.filter((range) => range !== undefined);
}

/** The program's mappings from its headers on, as far as they only can be read. */
function imageOf(pid: number, mappings: readonly Mapping[]): CertainMemory | undefined {
  const file = `/proc/${pid}/exe`;
  const identity = fileIdentity(file);
  const fileSize = statSync(file).size;
  const headers = mappingAt(mappings, Number(auxiliaryVector(pid).get(AUXILIARY.headers) ?? 0n));
  if (headers?.identity !== identity) return undefined;
  let { start: end, offset: last } = headers;
  for (const mapping of mappings.slice(mappings.indexOf(headers))) {
    const isNext = mapping.start === end && mapping.identity === identity && mapping.offset >= last;
    // Pages behind the file's end cannot be read.
    const isWhole = mapping.offset + (mapping.end - mapping.start) < fileSize + PAGE_BYTES;
    if (!isNext || !isWhole || !mapping.isReadable || mapping.isWritable) break;
    end = mapping.end;
    last = mapping.offset;
  }
  return end === headers.start ? undefined : { start: headers.start, end };
}
