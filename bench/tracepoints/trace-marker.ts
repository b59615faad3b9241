/**
 * A write(2) of text to the kernel's trace_marker, in a trace instance of its own.
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmdirSync, writeSync } from 'node:fs';
import { type Contender, textOf } from './contender.ts';

/** Where the kernel's tracefs is mounted; `usertrace serve` may be there as well, and is not what is meant. */
export const TRACEFS = '/sys/kernel/tracing';

/** What this needs of the machine, or undefined when all of it is there. */
export function lackingForTraceMarker(): string | undefined {
  const isMounted = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[1] === TRACEFS && line.split(' ')[2] === 'tracefs');
  if (!isMounted) return `needs the kernel's tracefs at ${TRACEFS}`;
  return process.getuid?.() === 0 ? undefined : 'needs root';
}

/** Makes the instance, which `close` removes. */
export function openContender(): Contender {
  const instance = `${TRACEFS}/instances/usertrace-bench-${process.pid}`;
  mkdirSync(instance);
  const marker = openSync(`${instance}/trace_marker`, 'w');
  return {
    loops: {
      text: (count) => {
        for (let i = 0; i < count; i++)
          writeSync(marker, `bench: first=${i} second=${i + 1} text=${textOf(i)}`);
      },
      numbers: (count) => {
        for (let i = 0; i < count; i++) writeSync(marker, `bench: big=${i * 1000} small=${i} real=${i / 2}`);
      },
    },
    close: () => {
      closeSync(marker);
      rmdirSync(instance);
    },
  };
}
