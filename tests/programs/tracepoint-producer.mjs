/**
 * A program with tracepoints, in the main thread and workers, that writes events whose fields follow from a number.
 *
 *     node tracepoint-producer.mjs WORKERS
 *
 * It prints `ready PID`. Lines on its stdin: `go N` writes N events in each thread and prints `wrote TID N ...`;
 * `flood` writes as fast as it can while somebody listens, until `stop`, which prints `wrote TID N ...`; `exit CODE`
 * ends it.
 */
import { readlinkSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { bytes, chars, f64, s64, s8, str, tracepoint, u32, u64 } from '@usertrace/tracepoint';

const FLOOD_SLICE_MS = 20;
const FLOOD_STEP = 500;

const numbers = tracepoint('rec_numbers', { number: u32, big: u64, signed: s64, small: s8, double: f64 });
const texts = tracepoint('rec_texts', { number: u32, text: str, raw: bytes, fixed: chars(16) });
const tid = Number(readlinkSync('/proc/thread-self').split('/').at(-1));

let flooded = 0;
let isFlooding = false;

function writeOne(number) {
  if (number % 2 === 0) numbers.emit(number, BigInt(number) << 33n, -number, number % 128, number / 3);
  else
    texts.emit(number, `text number ${number} \u00e4\u20ac`, Buffer.from(`raw ${number}`), `fixed ${number}`);
}

function flood() {
  const end = performance.now() + FLOOD_SLICE_MS;
  while (performance.now() < end) {
    for (let step = 0; step < FLOOD_STEP; step++) {
      if (!(flooded % 2 === 0 ? numbers : texts).enabled) continue;
      writeOne(flooded);
      flooded++;
    }
  }
  if (isFlooding) setImmediate(flood);
}

/** Does one order and answers how many events were written; undefined when there is nothing to say yet. */
function obey(order) {
  const [verb, argument] = order.split(' ');
  if (verb === 'go') {
    for (let number = 0; number < Number(argument); number++) writeOne(number);
    return Number(argument);
  }
  if (verb === 'flood') {
    flooded = 0;
    isFlooding = true;
    setImmediate(flood);
    return undefined;
  }
  if (verb === 'stop') isFlooding = false;
  return flooded;
}

if (isMainThread) {
  const workers = Array.from(
    { length: Number(process.argv[2] ?? 0) },
    () => new Worker(new URL(import.meta.url)),
  );
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  console.log(`ready ${process.pid}`);
  for await (const order of createInterface(process.stdin)) {
    if (order.startsWith('exit')) process.exit(Number(order.split(' ')[1]));
    const answers = workers.map((worker) => new Promise((resolve) => worker.once('message', resolve)));
    for (const worker of workers) worker.postMessage(order);
    const own = obey(order);
    if (own === undefined) continue;
    console.log(['wrote', tid, own, ...(await Promise.all(answers)).flat()].join(' '));
  }
  process.exit(0);
} else {
  parentPort.on('message', (order) => {
    const count = obey(order);
    if (count !== undefined) parentPort.postMessage([tid, count]);
  });
  parentPort.postMessage('ready');
}
