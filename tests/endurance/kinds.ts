/** The ways in which probes are in tests/programs/probed-loop.c while it is disturbed. */
import { BREAKPOINT_WORDS } from '../support/breakpoint-words.ts';
import { cProgram } from '../support/c-programs.ts';

/** The program: threads that check their own answers. Without a C library in it, so that a tracer has read it at once. */
export function probedLoop(): string {
  return cProgram('tests/programs/probed-loop.c', ['-no-pie']);
}

/** Probes by their names, without the program's path. */
export const KINDS: Readonly<Record<string, string>> = {
  jump: 'p:g/e PATH:probed_work a=%di s=+0(%sp):x8[4]',
  breakpoint: `p:g/e PATH:probed_recursion ${BREAKPOINT_WORDS}`,
  return: 'r:g/e PATH:probed_recursion a=$retval',
  'return by breakpoint': `r:g/e PATH:probed_recursion a=$retval ${BREAKPOINT_WORDS}`,
  'return of another': 'r:g/e PATH:probed_tail a=$retval',
};

/**
 * The definition of a kind.
 *
 * @throws {Error} when there is no such kind
 */
export function kindDefinition(kind: string): string {
  const text = KINDS[kind];
  if (text === undefined)
    throw new Error(`Cannot probe "${kind}": there are ${Object.keys(KINDS).join(', ')}`);
  return text.replace('PATH', probedLoop());
}
