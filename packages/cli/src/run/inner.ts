/**
 * The inner process of `usertrace run`: it stands in the namespaces that unshare(1) made, mounts and serves the tree,
 * starts CMD, and records until CMD ends. The order comes from the outer process (protocol.ts).
 *
 * `main` owns everything: the server, the recorder, the signal relay and CMD, in this order of making; all of it is
 * undone when CMD ends. What CMD started and left behind keeps running, and gets errors from the tree.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { finished } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
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

/** It becomes the command after it has made namespaces for it. */
const NAMESPACE_MAKER = 'unshare';
/** How often it is looked whether it has. */
const STAND_IN_LOOK_MS = 5;

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

function startCommand({ command: own, standIn, isPrivileged, uid, gid }: RunOrder): ChildProcess {
  const argv = standIn ?? own;
  const [file = '', ...words] = isPrivileged
    ? argv
    : [NAMESPACE_MAKER, ...commandNamespace(uid, gid), ...argv];
  return spawn(file, words, { stdio: ['inherit', 'inherit', 'inherit'] });
}

/** Waits until the prober has made the command of the process that waits. */
async function launched(child: ChildProcess): Promise<void> {
  const { pid } = child;
  if (pid === undefined) return;
  // In the command's own namespaces it is another program.
  while (programName(pid) === NAMESPACE_MAKER) await delay(STAND_IN_LOOK_MS);
  const answer = new Promise<void>((resolve, reject) => {
    process.on('message', (message: OuterMessage) => {
      if (message.kind === 'launched') resolve();
      if (message.kind === 'refused') reject(new Failure(message.message, message.exitCode));
    });
    // Nobody is left to ask the prober.
    process.once('disconnect', () => reject(new Failure('the run was killed', EXIT.failure)));
  });
  await say({ kind: 'waiting', pid });
  try {
    await answer;
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

function programName(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1').trim();
  } catch {
    return '';
  }
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
  const end = ended(command, order.command[0] ?? '');
  if (order.standIn !== undefined) await Promise.race([launched(command), end]);
  await say({ kind: 'started' });
  const exitCode = await end;
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
