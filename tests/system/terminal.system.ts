/** Commands on a terminal: keys end them, and the terminal is as it was. And what they say when there is nothing to show. */
import { expect, test } from 'vitest';
import { USERTRACE } from '../support/server.ts';
import { startChild } from './fixture.ts';

const COMMAND = `'${process.execPath}' '${USERTRACE}'`;
/** What a terminal does with keys: lines or single ones, shown or not. */
const KEYS_OF_TERMINAL = "stty -a | grep -oE -- '-?(icanon|echo|isig)( |$)' | tr '\\n' ' '; echo";

test.each([
  ['q', 'q'],
  ['q behind others', 'xyzq'],
  ['Ctrl-C', '\u0003'],
])('top ends by %s, and the terminal is as it was', async (_, keys) => {
  const script = `${KEYS_OF_TERMINAL}; ${COMMAND} top -i 100ms; echo status $?; ${KEYS_OF_TERMINAL}`;
  const terminal = startChild(['script', '-qec', script, '/dev/null']);
  const before = await terminal.line(/icanon/);
  await terminal.line(/ processes?, /);
  terminal.say(keys);
  expect(await terminal.line(/status/)).toContain('status 0');
  expect(await terminal.line(/icanon/)).toBe(before);
});

test('top in the background of a terminal is not stopped by it', async () => {
  const script = `set -m; ${COMMAND} top -i 100ms & sleep 0.1; wait`;
  const terminal = startChild(['script', '-qec', script, '/dev/null']);
  for (let screen = 0; screen < 3; screen++) await terminal.line(/ processes?, /);
});

test('trace says that nobody has an event of the name that it waits for', async () => {
  const trace = startChild([process.execPath, USERTRACE, 'trace', '-e', 'no_such_event_*', '-n', '1']);
  await expect
    .poll(() => trace.stderr, { timeout: 60_000 })
    .toContain('no process has an event called no_such_event_* now: waiting for one');
});
