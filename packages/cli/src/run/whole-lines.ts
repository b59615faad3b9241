/** A stream that passes text on by whole lines, so that others may write lines into the same output. */

import { Transform } from 'node:stream';

const NEWLINE = 10;

export function wholeLines(): Transform {
  let rest = Buffer.alloc(0);
  return new Transform({
    transform(piece: Buffer, _, done) {
      const text = Buffer.concat([rest, piece]);
      const end = text.lastIndexOf(NEWLINE) + 1;
      rest = text.subarray(end);
      done(null, text.subarray(0, end));
    },
    flush: (done) => done(null, rest),
  });
}
