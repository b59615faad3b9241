/** Why a probe is a breakpoint and no jump, in words; the obstacles are those of @usertrace/uprobes. */

const TEXTS: Readonly<Record<string, string>> = {
  'unknown-function': 'no function of known size is there',
  'too-short': 'there is no room for a jump',
  undecodable: 'the function has bytes that are no instructions',
  'branch-into': 'something jumps to where the jump would be',
  'entry-inside': 'another function begins where the jump would be',
  'indirect-jump': 'the function jumps to addresses that cannot be found out',
  'call-inside': 'a call would come back into the jump',
  unmovable: 'an instruction there cannot run elsewhere',
  'no-file': 'the file cannot be read, or has changed',
  'preemptive-runtime': "Go's runtime interrupts functions anywhere",
  'page-boundary': 'the jump would lie on two pages',
  'shadow-stack': 'the process has a shadow stack',
  seccomp: 'the process has a seccomp filter',
  processor: 'the processor or the kernel lacks what a jump needs',
  'tail-call':
    'the function ends with a jump to another one, so that its returns are followed from its entry',
  'jumped-into': 'other code jumps into the function, so that its returns are followed from its entry',
  arguments: 'its arguments need a stop',
  neighbour: 'another probe is next to it',
  'changed-code': "the code in memory is not the file's",
  'thread-inside': 'a thread was there each time',
  'does-not-stop': 'the threads did not stop',
  'no-room': 'there is no memory for it nearby',
};

/** @param reason an obstacle, or a sentence */
export function obstacleText(reason: string): string {
  return TEXTS[reason] ?? reason;
}
