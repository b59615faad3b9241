/**
 * Starts a program with a probe in it, and prints how its hits came, how many, and what the last one says.
 *
 *   node probe-once.mjs DEFINITION PROGRAM [ARGUMENT]...
 */
import { readFileSync } from 'node:fs';
import { fileIdentity, FileSymbols, JumpHit, parseDefinition, ProbeTracer } from '@usertrace/uprobes';
import { openUtrace } from '@usertrace/utrace';

const [text, command, ...args] = process.argv.slice(2);
const reader = { read: (file) => readFileSync(file) };
const definition = parseDefinition(text, {
  look: (file) => ({ kind: 'regular', identity: fileIdentity(file) }),
  functionOffset: (file, name) => FileSymbols.open(file, reader)?.functionOffset(name),
});
const utrace = openUtrace();
const tracer = new ProbeTracer(utrace, (reason) => console.error(reason));
const values = [];
const kinds = new Set();
await tracer.add(definition, (hit) => {
  values.push(hit.values.map(String));
  kinds.add(hit instanceof JumpHit ? 'jump' : 'breakpoint');
});
tracer.spawn({ command, args, stdio: [0, 2, 2] });
await utrace.untilEmpty();
await tracer.close();
await utrace.close();
console.log(JSON.stringify({ kinds: [...kinds], count: values.length, last: values.at(-1) }));
