/** Starts the user's prober: a process of its own, which belongs to nobody's terminal and outlives who started it. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isInTime } from '@usertrace/base';
import type { RuntimeSurroundings } from '@usertrace/linux';
import { proberSocketPath } from './prober-place.ts';

/** The prober's program, as it is built. */
const PROGRAM = fileURLToPath(new URL('./main.js', import.meta.url));
/** Node itself needs some 50 ms; a machine that swaps much more. */
const START_DEADLINE_MS = 30_000;
/** The end of what it said that is shown. */
const LAST_WORDS_LENGTH = 2000;

/** The file that has what the prober says when it crashes. */
export function proberLogPath(surroundings: RuntimeSurroundings): string {
  return proberSocketPath(surroundings).replace(/socket$/, 'log');
}

/**
 * Starts the prober, unless there is one, and waits until it listens.
 *
 * @throws {Error} when it cannot be started, with what it said
 */
export async function startProber(surroundings: RuntimeSurroundings): Promise<void> {
  const logPath = proberLogPath(surroundings);
  const log = openSync(logPath, 'a', 0o600);
  const child = spawn(process.execPath, [PROGRAM], {
    detached: true,
    cwd: '/',
    env: { ...surroundings.environment },
    stdio: ['ignore', 'pipe', log],
  });
  closeSync(log);
  const ready = new Promise<void>((resolve, reject) => {
    // It says one word when it listens, or when another does.
    child.stdout?.once('data', () => resolve());
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`Cannot start the prober: ${lastWords(logPath)}`)));
  });
  try {
    if (!(await isInTime(ready, START_DEADLINE_MS))) {
      child.kill('SIGKILL');
      throw new Error(`Cannot start the prober: it did not answer in ${START_DEADLINE_MS / 1000} s`);
    }
  } finally {
    child.stdout?.destroy();
    child.unref();
  }
}

/** What the prober said last. */
function lastWords(logPath: string): string {
  try {
    const text = readFileSync(logPath, 'utf8').trim().slice(-LAST_WORDS_LENGTH);
    return text === '' ? 'it ended at once and said nothing' : text;
  } catch {
    return 'it ended at once';
  }
}
