/** `usertrace demo`: the main job, shown on a service of its own (demo/service.ts) in some seconds. */

import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { coloursFor } from '../colours.ts';
import { EXIT, Failure } from '../failure.ts';
import { RunSession } from '../run/outer.ts';
import { KERNEL_TREE } from '../tree/find.ts';
import { summary } from './run.ts';

/** The service, as it is built. */
const SERVICE_PROGRAM = fileURLToPath(new URL('../demo/service.js', import.meta.url));

/** How long each act lasts, in milliseconds. */
const ACT_MS = 1200;
/** How often a switch is tried until the service has registered its events, in milliseconds. */
const RETRY_INTERVAL_MS = 50;

/** What is shown, in order. */
const ACTS: readonly Act[] = [
  { text: 'Nobody listens: the service tests one bit a request and writes nothing' },
  { text: 'Switching demo_request on', pattern: 'demo_request', isOn: true },
  { text: 'Switching demo_cache_miss on, too', pattern: 'demo_cache_miss', isOn: true },
  { text: 'Switching both off', pattern: 'demo_*', isOn: false },
];

interface Act {
  readonly text: string;
  readonly pattern?: string;
  readonly isOn?: boolean;
}

/**
 * Runs the service under a tree of its own and switches its events on and off meanwhile.
 *
 * @returns the exit code
 * @throws {Failure} when this machine cannot do it, with the reason
 */
export async function demo(): Promise<number> {
  const colours = coloursFor(process.stdout);
  const narrate = (text: string): void => void process.stdout.write(`${colours.bold(text)}\n`);
  narrate(`Starting a service that writes user_events, with a ${KERNEL_TREE} of its own`);
  const session = new RunSession({
    mount: KERNEL_TREE,
    command: [process.execPath, SERVICE_PROGRAM],
    patterns: [],
  });
  session.traceText.setEncoding('utf8');
  session.traceText.on('data', (text: string) => process.stdout.write(colours.cyan(text)));
  const over = new AbortController();
  const end = session.ended.finally(() => over.abort());
  // While the acts go on nobody waits for the end yet; its failure is told below.
  end.catch(() => undefined);
  await session.started;
  for (const act of ACTS) {
    if (over.signal.aborted) break;
    narrate(act.text);
    await perform(act, session, over.signal);
  }
  const { exitCode, ...counts } = await end;
  if (exitCode !== EXIT.ok) return exitCode;
  if (counts.eventCount === 0) throw new Failure('the service ran, but none of its events arrived');
  narrate(`Done: ${summary(counts)}, each in the text that the kernel would print`);
  process.stdout.write(
    [
      '',
      'What to try next:',
      '  usertrace run -- ./your-program   run a program of yours the same way',
      '  usertrace serve                   serve every program (as root), then in another terminal:',
      '  usertrace list                    the events that programs have registered',
      '  usertrace enable "*"              switch them on',
      '  usertrace trace -f                and watch them',
      '',
    ].join('\n'),
  );
  return EXIT.ok;
}

/** Switches what the act switches, and lets it be seen for a while; ends at once when the service is over. */
async function perform(
  { pattern, isOn = false }: Act,
  session: RunSession,
  over: AbortSignal,
): Promise<void> {
  try {
    if (pattern !== undefined) {
      // The service may not have registered its events yet.
      while ((await session.switchEvents(pattern, isOn)).length === 0) {
        await delay(RETRY_INTERVAL_MS, undefined, { signal: over });
      }
    }
    await delay(ACT_MS, undefined, { signal: over });
  } catch (error) {
    if (!over.aborted) throw error;
  }
}
