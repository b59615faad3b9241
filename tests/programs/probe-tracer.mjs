/**
 * A tracer to be killed: puts a probe into a process, takes it away and puts it in again, for ever.
 *
 *   node probe-tracer.mjs PID DEFINITION
 *
 * Prints `begin` before it attaches, `ready` when the probe is there, and then a dot for each 100 hits.
 */
import { readFileSync } from 'node:fs';
import { fileIdentity, FileSymbols, parseDefinition, ProbeTracer } from '@usertrace/uprobes';
import { openUtrace } from '@usertrace/utrace';

const [pid, text] = process.argv.slice(2);
const reader = { read: (file) => readFileSync(file) };
const definition = parseDefinition(text, {
  look: (file) => ({ kind: 'regular', identity: fileIdentity(file) }),
  functionOffset: (file, name) => FileSymbols.open(file, reader)?.functionOffset(name),
});
const tracer = new ProbeTracer(openUtrace(), (reason) => console.error(reason));
console.log('begin');
await tracer.attach(Number(pid));
let hits = 0;
for (let isFirst = true; ; isFirst = false) {
  const remove = await tracer.add(definition, () => {
    if (++hits % 100 === 0) console.log('.');
  });
  if (isFirst) console.log('ready');
  await new Promise((resolve) => setTimeout(resolve, 20));
  await remove();
}
