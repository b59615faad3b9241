/** Colours, on a terminal only, and never when NO_COLOR asks for none (no-color.org). */

import type { WriteStream } from 'node:tty';
import pc from 'picocolors';

/** The functions that paint text for one stream. */
export type Colours = ReturnType<typeof pc.createColors>;

/**
 * @param stream where the text goes: `process.stdout` or `process.stderr`
 * @param environment where NO_COLOR and TERM are looked up
 */
export function coloursFor(
  stream: Pick<WriteStream, 'isTTY'>,
  environment: NodeJS.ProcessEnv = process.env,
): Colours {
  const isWanted = stream.isTTY && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb';
  return pc.createColors(isWanted);
}
