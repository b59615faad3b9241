/** Signals of x86-64 by number: names and default actions (signal(7)). */

/** What the kernel does with a signal that the program neither handles nor ignores. */
export type DefaultAction = 'terminate' | 'core' | 'ignore' | 'stop' | 'continue';

/** By number, from 1. The letter is the default action. */
const STANDARD = (
  'HUPt INTt QUITc ILLc TRAPc ABRTc BUSc FPEc KILLt USR1t SEGVc USR2t PIPEt ALRMt TERMt STKFLTt CHLDi CONTg ' +
  'STOPs TSTPs TTINs TTOUs URGi XCPUc XFSZc VTALRMt PROFt WINCHi IOt PWRt SYSc'
).split(' ');

const ACTIONS: Readonly<Record<string, DefaultAction>> = {
  t: 'terminate',
  c: 'core',
  i: 'ignore',
  s: 'stop',
  g: 'continue',
};

const SIGRTMIN = 32;

/** The signals that this project's code names. */
export const SIGNAL = {
  ILL: 4,
  TRAP: 5,
  KILL: 9,
  CHLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
} as const;

/** The highest signal number. */
export const MAX_SIGNAL = 64;

/**
 * The name of a signal, such as `SIGTERM`; `SIGRT_3` for the third above the kernel's first real-time signal, 32.
 *
 * @param number from 1 to 64; of any other the number is given
 */
export function signalName(number: number): string {
  const row = STANDARD[number - 1];
  if (row !== undefined) return `SIG${row.slice(0, -1)}`;
  return number >= SIGRTMIN && number <= MAX_SIGNAL ? `SIGRT_${number - SIGRTMIN}` : String(number);
}

/** What the kernel does with a signal nobody has said anything about. */
export function defaultAction(number: number): DefaultAction {
  return ACTIONS[STANDARD[number - 1]?.slice(-1) ?? 't'] ?? 'terminate';
}
