/**
 * What becomes of output that cannot be written. Node would end the process with the stack of an unhandled error, and a
 * recording or a traced command with it.
 */

import { EXIT, errorCode } from './failure.ts';

/**
 * Lets a command go on when its output is lost: what it does may be worth more than what it prints. A reader that went
 * away (`| head`) has seen what it wanted; anything else, such as a full disk, is said on stderr, and the process ends
 * with EXIT.failure. Commands that print without end listen for `error` as well.
 */
export function surviveLostOutput(
  streams: Pick<NodeJS.Process, 'stdout' | 'stderr' | 'exitCode'> = process,
): void {
  let isSaid = false;
  streams.stdout.on('error', (error) => {
    if (errorCode(error) === 'EPIPE' || isSaid) return;
    isSaid = true;
    streams.exitCode = EXIT.failure;
    streams.stderr.write(`usertrace: cannot write to stdout: ${error.message}; what it holds is not all\n`);
  });
  // There is nowhere left to say it.
  streams.stderr.on('error', () => undefined);
}
