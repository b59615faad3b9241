/** Tracepoints of Node programs at a server that plays the kernel: one that is there, comes late, dies, and comes again. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { Child } from '../support/child.ts';
import { inRepository } from '../support/repository.ts';
import type { Server } from '../support/server.ts';
import { until } from '../support/wait.ts';
import { needs, startServer } from './fixture.ts';

const PACKAGE = inRepository('packages', 'tracepoint', 'dist', 'tracepoint.mjs');

/** Emits an event each 2 ms, and says when somebody begins or ends to listen. */
const PROGRAM = `import { str, tracepoint, u32, u64 } from '${PACKAGE}';
const event = tracepoint('node_event', { number: u32, text: str, big: u64 });
const bare = tracepoint('node_bare');
let number = 0, last;
setInterval(() => {
  event(number, 'text ' + number, 5n);
  number += 1;
  bare();
  if (event.enabled !== last) console.log((last = event.enabled) ? 'on' : 'off');
}, 2);`;

/** Workers that come and go, each with the same event; then the program says so, and goes on with its own. */
const WORKERS = `import { isMainThread, Worker } from 'node:worker_threads';
import { readFileSync } from 'node:fs';
import { tracepoint, u32 } from '${PACKAGE}';
const event = tracepoint('node_event', { number: u32 });
if (isMainThread) {
  for (let count = 0; count < 20; count++) {
    await new Promise((resolve) => new Worker(process.argv[1]).on('exit', resolve));
  }
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\\n');
  console.log('mapped ' + maps.filter((line) => line.includes(process.env.USERTRACE_RUNTIME_DIR)).length);
  let last;
  setInterval(() => {
    event(1);
    if (event.enabled !== last) console.log((last = event.enabled) ? 'on' : 'off');
  }, 2);
}`;

/** Starts the program, which looks for servers in no other folder than `mount`. */
function startEmitter(mount: string, source = PROGRAM): Child {
  const runtime = mkdtempSync('/dev/shm/usertrace-test-');
  const env = { ...process.env, USERTRACE_RUNTIME_DIR: runtime, USERTRACE_MOUNT: mount };
  // The server that is started in this test announces itself in the same folder.
  process.env['USERTRACE_RUNTIME_DIR'] = runtime;
  const script = `${runtime}.mjs`;
  writeFileSync(script, source);
  const child = new Child(process.execPath, [script], { env });
  onTestFinished(async () => {
    delete process.env['USERTRACE_RUNTIME_DIR'];
    await child.kill();
    rmSync(runtime, { recursive: true, force: true });
    rmSync(script);
  });
  return child;
}

async function expectEvents(server: Server): Promise<void> {
  await server.enable('user_events/node_event');
  await until('events are recorded', async () => /node_event: number=/.test(await server.read('trace')));
  const lines = (await server.read('trace')).split('\n').filter((line) => line.includes('node_event:'));
  for (const line of lines) {
    const [, number, text] = /number=0x[0-9a-f]+ \((\d+)\) text=text (\d+) big=0x5 \(5\)$/.exec(line) ?? [];
    expect(text, line).toBe(number);
  }
}

test('a program that finds a server is recorded by it', async (context) => {
  needs(context, 'root', 'fuse');
  const server = await startServer();
  const program = startEmitter(server.root);
  await program.line(/^off$/);
  await expectEvents(server);
  await program.line(/^on$/);
  await server.enable('user_events/node_event', '0');
  await program.line(/^off$/);
});

test('a program runs on while servers come late, die, and come again', async (context) => {
  needs(context, 'root', 'fuse');
  const program = startEmitter('/nowhere');
  await program.line(/^off$/);
  for (let round = 0; round < 3; round++) {
    const server = await startServer();
    await until('the program registers', async () =>
      (await server.read('dynamic_events')).includes('node_bare'),
    );
    await expectEvents(server);
    await program.line(/^on$/);
    await server.crash();
    await program.line(/^off$/);
  }
});

test('workers that have ended are forgotten: nothing is written where their words were', async (context) => {
  needs(context, 'root', 'fuse');
  const server = await startServer();
  const program = startEmitter(server.root, WORKERS);
  // The main thread's own, and that of the last worker, which nobody has looked for yet.
  expect(await program.line(/^mapped/)).toBe('mapped 2');
  await program.line(/^off$/);
  for (let round = 0; round < 3; round++) {
    await server.enable('user_events/node_event');
    await program.line(/^on$/);
    await server.enable('user_events/node_event', '0');
    await program.line(/^off$/);
  }
  // A word that was not unregistered would be one that could not be written: nothing is mapped there any more.
  await server.enable('user_events/node_event');
  expect(await server.read('user_events_unsettled')).not.toMatch(/node_event/);
});
