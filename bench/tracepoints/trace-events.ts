/**
 * An event of node:trace_events, by way of console.timeLog(): the one call by which a program of today's Node puts
 * fields of its own there (performance.mark() has written none since Node 16, nodejs/node#32281). It also formats
 * a line of text, which is dropped here.
 */
import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { getEnabledCategories } from 'node:trace_events';
import { type Contender, textOf } from './contender.ts';

const LABEL = 'bench';

/** Needs `node --trace-event-categories node.console`. */
export function openContender(): Contender {
  if (!(getEnabledCategories() ?? '').includes('node.console')) throw new Error('node.console is not traced');
  const dropped = new Writable({ write: (_chunk, _encoding, done) => done() });
  const timings = new Console(dropped);
  timings.time(LABEL);
  return {
    loops: {
      text: (count) => {
        for (let i = 0; i < count; i++) timings.timeLog(LABEL, i, i + 1, textOf(i));
      },
      numbers: (count) => {
        for (let i = 0; i < count; i++) timings.timeLog(LABEL, i * 1000, i, i / 2);
      },
    },
    close: () => timings.timeEnd(LABEL),
  };
}
