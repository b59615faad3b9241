/** Fetch arguments that the kernel takes, but no jump: more than a slot has faults for. A probe that has them is a breakpoint. */

import { TRAMPOLINE_ARGUMENTS_MAX } from '@usertrace/uprobes';

export const BREAKPOINT_WORDS: string = Array.from(
  { length: TRAMPOLINE_ARGUMENTS_MAX + 1 },
  (_, index) => `only${index}=\\0:u8`,
).join(' ');
