/**
 * A line of pino's JSON to /dev/null. Written 4 KiB at a time: unbuffered, each line would cost a system call more.
 */
import { pino } from 'pino';
import { type Contender, textOf } from './contender.ts';

const BUFFER_BYTES = 4096;

/** A logger as a service has it, but for what it writes to. */
export function openContender(): Contender {
  const log = pino(pino.destination({ dest: '/dev/null', sync: true, minLength: BUFFER_BYTES }));
  return {
    loops: {
      text: (count) => {
        for (let i = 0; i < count; i++) log.info({ first: i, second: i + 1, text: textOf(i) });
      },
      numbers: (count) => {
        for (let i = 0; i < count; i++) log.info({ big: i * 1000, small: i, real: i / 2 });
      },
    },
  };
}
