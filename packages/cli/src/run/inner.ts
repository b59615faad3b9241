/**
 * The inner process of `usertrace run`: it stands in the namespaces that unshare(1) made, mounts and serves the tree,
 * starts CMD, and records until CMD ends. The order comes from the outer process (protocol.ts).
 *
 * `main` owns everything: the server, the recorder, the signal relay and CMD, in this order of making; all of it is
 * undone when CMD ends. What CMD started and left behind keeps running, and gets errors from the tree.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { finished } from 'node:stream/promises';
import type { DirectoryNode, RunningServer } from '@usertrace/tracefs';
import { EXIT, Failure, describeError } from '../failure.ts';
import { anyEventMatcher } from '../pattern.ts';
import { parseEventNames } from '../tree/texts.ts';
import { exitCodeOf, exitCodeOfStartError } from './command.ts';
import { commandNamespace } from './namespace.ts';
import { nodeAt, readText, writeText } from './own-tree.ts';
import {
  type InnerMessage,
  type OuterMessage,
  PROCESS_CONNECTOR_FD,
  type RunOrder,
  TRACE_TEXT_FD,
} from './protocol.ts';
import { Recorder } from './recorder.ts';
import { RELAYED_SIGNALS, SignalRelay } from './signals.ts';

function say(message: InnerMessage): Promise<void> {
  return new Promise((resolve) => {
    // An outer process that was killed hears nothing: CMD still runs to its end.
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, () => resolve());
  });
}

/** CMD once it exists: where signals go. */
let command: ChildProcess | undefined;

const relay = new SignalRelay((signal) => {
  if (command === undefined) process.exit(exitCodeOf({ code: null, signal }));
  command.kill(signal);
});

function startCommand({ command: argv, isPrivileged, uid, gid }: RunOrder): ChildProcess {
  const [file = '', ...words] = isPrivileged ? argv : ['unshare', ...commandNamespace(uid, gid), ...argv];
  return spawn(file, words, { stdio: ['inherit', 'inherit', 'inherit'] });
}

/** Waits for CMD's end. @returns its exit code, or what stands for it */
function ended(child: ChildProcess, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      reject(new Failure(`cannot run "${name}": ${error.message}`, exitCodeOfStartError(error)));
    });
    child.once('exit', (code, signal) => resolve(exitCodeOf({ code, signal })));
  });
}

/** Switches the events that exist now and are meant. @returns their full names */
async function switchEvents(root: DirectoryNode, pattern: string, isOn: boolean): Promise<string[]> {
  const matches = anyEventMatcher([pattern]);
  const meant = parseEventNames(await readText(nodeAt(root, 'available_events'))).filter(
    ({ system, event }) => matches(system, event),
  );
  for (const { system, event } of meant) {
    await writeText(nodeAt(root, `events/${system}/${event}/enable`), isOn ? '1' : '0');
  }
  return meant.map(({ system, event }) => `${system}:${event}`);
}

async function record(server: RunningServer, order: RunOrder): Promise<void> {
  const text = new Socket({ fd: TRACE_TEXT_FD, readable: false });
  // The outer process was killed: nobody reads any more, and CMD still runs to its end.
  text.on('error', () => undefined);
  const recorder = new Recorder(server.root, text);
  process.on('message', (message: OuterMessage) => {
    if (message.kind !== 'switch') return;
    void switchEvents(server.root, message.pattern, message.isOn).then((events) =>
      say({ kind: 'switched', events }),
    );
  });
  if (order.patterns.length > 0) server.enableNew(anyEventMatcher(order.patterns));
  command = startCommand(order);
  await say({ kind: 'started' });
  const exitCode = await ended(command, order.command[0] ?? '');
  relay.close();
  const counts = await recorder.finish();
  text.end();
  await finished(text).catch(() => undefined);
  await say({ kind: 'ended', end: { exitCode, ...counts } });
}

async function main(order: RunOrder): Promise<void> {
  let exitCode: number = EXIT.ok;
  try {
    const { startServer } = await import('@usertrace/tracefs');
    const server = await startServer({
      mount: order.mount,
      // A run inside a run sees the outer one's tree there, and covers it for its own command.
      mayCover: true,
      ...(order.hasConnector ? { processConnectorFd: PROCESS_CONNECTOR_FD } : {}),
    });
    try {
      await record(server, order);
    } finally {
      await server.stop();
    }
  } catch (error) {
    exitCode = error instanceof Failure ? error.exitCode : EXIT.failure;
    await say({ kind: 'failed', message: describeError(error), exitCode });
  }
  process.exit(exitCode);
}

for (const signal of RELAYED_SIGNALS) process.on(signal, () => relay.hear('inner', signal));
process.on('message', (message: OuterMessage) => {
  if (message.kind === 'start') void main(message.order);
  if (message.kind === 'signal') relay.hear('outer', message.signal);
});
