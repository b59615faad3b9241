/**
 * `trace`: the buffer's entries as text, without consuming them. Opening it with O_TRUNC, or truncating it,
 * empties the buffer. Each open file renders by itself, from a snapshot of the buffer made at its first byte.
 */

import type { Cpu } from '@usertrace/base';
import type { TraceInstance } from '../instance.ts';
import type { FileNode } from '../node.ts';
import { FILE_MODE, controlFile, taking } from './control-file.ts';
import type { InstanceText } from './instance-text.ts';

/** Lines are put together to pieces of about this many characters. */
const PIECE_LENGTH = 16_384;

/**
 * @param text how the instance prints
 * @param cpu whose entries; those of all CPUs when left out
 */
export function traceFile(instance: TraceInstance, text: InstanceText, cpu?: Cpu): FileNode {
  return controlFile(instance, {
    mode: FILE_MODE.readWrite,
    read: () => traceText(instance, text, cpu),
    // What is written is taken and means nothing, so that `echo > trace` empties it and succeeds.
    write: taking(() => undefined),
    truncate: () => instance.clear(cpu),
    opening: (mode) => {
      if (mode.writable && mode.truncate) instance.clear(cpu);
      if (!mode.readable || !instance.options.isOn('pause-on-trace')) return undefined;
      instance.pause();
      return () => instance.resume();
    },
  });
}

function* traceText(instance: TraceInstance, text: InstanceText, cpu?: Cpu): Generator<string, void> {
  const snapshot = instance.buffer.snapshot(cpu);
  const reading = text.reading('trace');
  let piece = text.header();
  for (let record = snapshot.read(); record !== undefined; record = snapshot.read()) {
    piece += reading.lines(record);
    if (piece.length < PIECE_LENGTH) continue;
    yield piece;
    piece = '';
  }
  yield piece;
}
