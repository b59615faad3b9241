/**
 * Emits events at full speed, each with its number, from the line `go` on standard input until the line `stop`. Prints
 * `on` when somebody listens, and in the end `EVENTS NANOSECONDS`; it lives on until its input is closed, so that its
 * last events can be read.
 */
import { createInterface } from 'node:readline';
import { int, str, tracepoint, u32 } from '@usertrace/tracepoint';
import { until } from '../../tests/support/wait.ts';
import { textOf } from '../tracepoints/contender.ts';

/** Between two looks at the input: some milliseconds. */
const BATCH = 100_000;
const LISTENER_TIMEOUT_MS = 20_000;

const event = tracepoint('bench_recording', { number: u32, second: int, text: str });
let emitted = 0;
let startedAt = 0n;
let isStopped = false;

function emitBatch(): void {
  for (const end = emitted + BATCH; emitted < end; emitted++)
    event.emit(emitted, emitted + 1, textOf(emitted));
  if (!isStopped) setImmediate(emitBatch);
  else console.log(`${emitted} ${process.hrtime.bigint() - startedAt}`);
}

createInterface({ input: process.stdin }).on('line', (line) => {
  isStopped = line === 'stop';
  if (isStopped) return;
  startedAt = process.hrtime.bigint();
  emitBatch();
});
await until('somebody listens', () => event.enabled, LISTENER_TIMEOUT_MS);
console.log('on');
