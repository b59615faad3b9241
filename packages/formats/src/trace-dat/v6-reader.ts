/** Reads the header of a version 6 file. */

import type { LanePlace } from './description.ts';
import { damaged, type FileCursor } from './file-cursor.ts';
import { OPTION, PART_NAME } from './layout.ts';
import {
  BOUND,
  FormatCollection,
  noOptionFacts,
  noteOption,
  readHeaderTexts,
  readSavedCommands,
  selectedClock,
} from './metadata-reader.ts';
import type { FileContents } from './trace-dat-file.ts';
import { TraceDatError } from './trace-dat-error.ts';

const KALLSYMS_MAX = 2 ** 32;
const PART_NAME_SIZE = 10;
const CLOCK_TEXT_MAX = 4096;

/** @param cursor behind the page size */
export function readV6(cursor: FileCursor): FileContents {
  const headerTexts = readHeaderTexts(cursor);
  const collection = new FormatCollection();
  collection.readFtrace(cursor);
  collection.readSystems(cursor);
  cursor.skip(Math.min(cursor.u32(), KALLSYMS_MAX), 'the kernel symbols');
  cursor.skip(cursor.u32(), 'the printk formats');
  const commByPid = readSavedCommands(cursor);
  const laneCount = cursor.u32();
  if (laneCount > BOUND.lanes) throw damaged(`${laneCount} CPUs`);
  const facts = noOptionFacts();
  const otherInstances: string[] = [];
  let part = cursor.text(PART_NAME_SIZE, 'its header', PART_NAME_SIZE);
  if (part === PART_NAME.OPTIONS) {
    for (let id = cursor.u16(), count = 0; id !== 0; id = cursor.u16(), count++) {
      if (count > BOUND.options) throw damaged(`more than ${BOUND.options} options`);
      const bytes = cursor.bytes(cursor.u32(), 'an option', BOUND.option);
      if (id === OPTION.BUFFER)
        otherInstances.push(Buffer.from(bytes.subarray(8)).toString('latin1').replace(/\0.*$/s, ''));
      noteOption(facts, id, bytes);
    }
    part = cursor.text(PART_NAME_SIZE, 'its header', PART_NAME_SIZE);
  }
  if (part === PART_NAME.LATENCY) {
    throw new TraceDatError('Cannot read the trace: it holds the text of a latency tracer, not events');
  }
  if (part !== PART_NAME.FLYRECORD) throw damaged('neither events nor a text behind its header');
  const lanes: LanePlace[] = [];
  for (let cpu = 0; cpu < laneCount; cpu++) {
    const offset = cursor.size();
    lanes.push({ cpu, offset, size: cursor.size() });
  }
  // Old versions of trace-cmd end here.
  if (cursor.left >= 8) {
    const size = Number(cursor.u64());
    if (size > 0 && size <= Math.min(CLOCK_TEXT_MAX, cursor.left)) {
      facts.clock = selectedClock(cursor.text(size, 'the clock', CLOCK_TEXT_MAX)) ?? facts.clock;
    }
  }
  const { formats } = collection;
  const { clock = 'local', ...rest } = facts;
  return {
    description: { ...headerTexts, formats, commByPid, clock, ...rest },
    lanes,
    decompress: undefined,
    otherInstances,
    metadataStart: 0,
  };
}
