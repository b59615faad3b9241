/**
 * The prober's program: it claims the place, listens, and ends when it has no probe and no client any more, or is told to by
 * SIGTERM. What it says goes to a log that clients point to.
 */
import { fstatSync, ftruncateSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { Prober } from './prober.ts';
import { claimProberPlace, ownSurroundings } from './prober-place.ts';
import { ProberServer } from './prober-server.ts';
import { proberLogPath } from './start.ts';

/** How often it is looked who listens, in milliseconds, and what has happened where somebody does. */
const TURN_MS = 15;
/** While nobody listens: so late a probe that was kept may be where somebody begins to. */
const IDLE_TURN_MS = 50;
/** How long it stays with nothing to do: a script's following command need not start another. */
const GRACE_MS = 500;
const STDOUT = 1;
const STDERR = 2;

const surroundings = ownSurroundings();
const claim = claimProberPlace(surroundings);
if (claim === undefined) {
  say('taken');
  process.exit(0);
}
emptyLog();
const prober = new Prober(dirname(claim.socketPath), surroundings.uid);
let idleSinceMs = performance.now();
const server = new ProberServer(prober, () => {
  idleSinceMs = performance.now();
});
// A terminal's signals are for those who belong to it.
for (const signal of ['SIGINT', 'SIGHUP', 'SIGPIPE'] as const) process.on(signal, () => undefined);
process.once('SIGTERM', () => void end());
await server.listen(claim.socketPath);
say('ready');
let isEnding = false;
let timer = setTimeout(turn, TURN_MS);

function turn(): void {
  prober.turn();
  if (server.isNeeded || !prober.isIdle) idleSinceMs = performance.now();
  if (performance.now() - idleSinceMs > GRACE_MS) void end();
  else if (!isEnding) timer = setTimeout(turn, prober.isTracing ? TURN_MS : IDLE_TURN_MS);
}

async function end(): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  clearTimeout(timer);
  server.close();
  try {
    await prober.close();
  } catch (error) {
    process.stderr.write(`${String(error)}\n`);
    process.exitCode = 1;
  }
  removeEmptyLog();
  claim?.release();
  process.exit();
}

/** Tells who started it; they may have gone. */
function say(word: string): void {
  try {
    writeSync(STDOUT, `${word}\n`);
  } catch {
    // Nobody waits for it.
  }
}

/** Nothing was said: clients point to the log no more. */
function removeEmptyLog(): void {
  try {
    const path = proberLogPath(surroundings);
    const { size, dev, ino } = fstatSync(STDERR);
    const found = statSync(path);
    if (size === 0 && found.dev === dev && found.ino === ino) unlinkSync(path);
  } catch {
    // There is none.
  }
}

/** What a former prober said is of no use any more. */
function emptyLog(): void {
  try {
    ftruncateSync(STDERR);
  } catch {
    // Somebody started it by hand, and stderr is no file.
  }
}
