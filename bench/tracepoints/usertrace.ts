/**
 * Tracepoints that are on; their events go into this thread's lane, over and over.
 */
import { f64, int, str, tracepoint, u64, unavailable } from '@usertrace/tracepoint';
import { type Contender, textOf } from './contender.ts';

const text = tracepoint('bench_text', { first: int, second: int, text: str });
const numbers = tracepoint('bench_numbers', { big: u64, small: int, real: f64 });

/** Needs USERTRACE_ENABLE=* in the environment. */
export function openContender(): Contender {
  if (!text.enabled || !numbers.enabled)
    throw new Error(`The tracepoints are off: ${unavailable() ?? 'nobody listens'}`);
  return {
    loops: {
      text: (count) => {
        for (let i = 0; i < count; i++) text.emit(i, i + 1, textOf(i));
      },
      numbers: (count) => {
        for (let i = 0; i < count; i++) numbers.emit(i * 1000, i, i / 2);
      },
    },
  };
}
