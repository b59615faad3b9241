/**
 * Trees whose server took its time for ever: stopped, or stuck. Whoever reads a file there waits for it, and no signal
 * ends that.
 */

import { answersAt } from '@usertrace/linux';
import { Failure } from '../failure.ts';
import { candidateTrees, type TreeChoice } from './find.ts';

/**
 * Makes sure that the trees which a command may work on answer, in two seconds for each at most.
 *
 * @throws {Failure} when one does not
 */
export function refuseSilentTrees(choice: TreeChoice): void {
  for (const folder of candidateTrees(choice)) {
    if (answersAt(folder)) continue;
    throw new Failure(
      `the server of ${folder} does not answer; end it, or take the tree off with: umount -l "${folder}"`,
    );
  }
}
