/**
 * The inner process of `usertrace run`: it stands in the namespaces that unshare(1) made, mounts and serves the tree,
 * starts CMD, and records until CMD ends. The order comes from the outer process (protocol.ts).
 *
 * `main` owns everything: the server, the recorder, the signal relay and CMD, in this order of making; all of it is
 * undone when CMD ends. What CMD started and left behind keeps running, and gets errors from the tree.
 */

import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { finished } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { bytesOf, StartedProgram } from '@usertrace/linux';
import type { DirectoryNode, RunningServer } from '@usertrace/tracefs';
import { EXIT, Failure, describeError } from '../failure.ts';
import { anyEventMatcher } from '../pattern.ts';
import { startFollowingServer } from '../serve/following-server.ts';
import { parseEventNames } from '../tree/texts.ts';
import { exitCodeOf, exitCodeOfStartError, exitCodeOfTask } from './command.ts';
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

/** What a terminal stops a process group with. */
const STOP_SIGNALS = ['SIGTSTP', 'SIGTTIN', 'SIGTTOU'] as const;
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

function warn(text: string): void {
  void say({ kind: 'warning', text });
}

/** CMD once it exists: where signals go. */
let command: StartedProgram | undefined;

const relay = new SignalRelay((signal) => {
  if (command === undefined) process.exit(exitCodeOf({ code: null, signal }));
  command.kill(signal);
});

/** @throws {Failure} when it cannot be started */
function startCommand({
  command: own,
  environment,
  standIn,
  isPrivileged,
  uid,
  gid,
}: RunOrder): StartedProgram {
  const argv = standIn ?? own;
  const [file = '', ...args] = isPrivileged
    ? argv
    : [NAMESPACE_MAKER, ...commandNamespace(uid, gid), ...argv];
  try {
    return new StartedProgram({ command: file, args, env: environment });
  } catch (error) {
    const name = bytesOf(own[0] ?? '').toString();
    throw new Failure(`cannot run "${name}": ${(error as Error).message}`, exitCodeOfStartError(error));
  }
}

/** Waits until the prober has made the command of the process that waits. */
async function launched(child: StartedProgram): Promise<void> {
  const { pid } = child;
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
  if (order.standIn !== undefined) await Promise.race([launched(command), command.ended]);
  await say({ kind: 'started' });
  const exitCode = exitCodeOfTask(await command.ended);
  relay.close();
  const counts = await recorder.finish();
  text.end();
  await finished(text).catch(() => undefined);
  await say({ kind: 'ended', end: { exitCode, ...counts } });
}

async function main(order: RunOrder): Promise<void> {
  let exitCode: number = EXIT.ok;
  try {
    if (order.follow !== undefined) stayAwake();
    const { server, letGo } = await startFollowingServer(
      {
        mount: order.mount,
        // A run inside a run sees the outer one's tree there, and covers it for its own command.
        mayCover: true,
        ...(order.hasConnector ? { processConnectorFd: PROCESS_CONNECTOR_FD } : {}),
      },
      order.follow,
      warn,
    );
    try {
      await record(server, order);
    } finally {
      await server.stop();
      // What does not stop for that is let go by our end.
      await letGo().catch((error: unknown) => warn(describeError(error)));
    }
  } catch (error) {
    exitCode = error instanceof Failure ? error.exitCode : EXIT.failure;
    await say({ kind: 'failed', message: describeError(error), exitCode });
  }
  process.exit(exitCode);
}

/**
 * A terminal's stop is for CMD and those who print: a tracer that stops with CMD could not let it have the signal before all go on, and
 * a CMD with a handler of its own for it would stop then.
 */
function stayAwake(): void {
  for (const signal of STOP_SIGNALS) process.on(signal, () => undefined);
}

for (const signal of RELAYED_SIGNALS) process.on(signal, () => relay.hear('inner', signal));
process.on('message', (message: OuterMessage) => {
  if (message.kind === 'start') void main(message.order);
  if (message.kind === 'signal') relay.hear('outer', message.signal);
});
