/**
 * A thread that looks probes up while the main thread changes the table, and checks each answer: version V of the table has probe
 * number V * 64 + I at address I, or none where (V + I) is divisible by 3. Two shared words say which version is in force for
 * sure, and which may be: an answer must be one of those between.
 */
import { parentPort, workerData } from 'node:worker_threads';

const { library, buffer, reader, space, words, addresses } = workerData;
const { SharedTableMemory, TableReader } = await import(library);
const [PUBLISHED, BEGUN, STOP] = [0, 1, 2];
const table = new TableReader(new SharedTableMemory(buffer), reader);
const versions = new Int32Array(words);

function truth(version, index) {
  return (version + index) % 3 === 0 ? -1 : version * 64 + index;
}

let lookups = 0;
let overlapped = 0;
let wrong = 0;
parentPort.postMessage('ready');
while (Atomics.load(versions, STOP) === 0) {
  for (let index = 0; index < addresses.length; index++) {
    const first = Atomics.load(versions, PUBLISHED);
    const answer = table.lookup(space, addresses[index]);
    const last = Atomics.load(versions, BEGUN);
    let isTrue = false;
    for (let version = first; version <= last && !isTrue; version++)
      isTrue = truth(version, index) === answer;
    if (!isTrue) wrong++;
    if (last > first) overlapped++;
    lookups++;
  }
}
parentPort.postMessage({ lookups, overlapped, wrong });
