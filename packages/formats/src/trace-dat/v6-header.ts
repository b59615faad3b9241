/** The header of a version 6 file: everything before the pages. */

import { ByteBuilder } from './byte-builder.ts';
import type { LanePlace, TraceDescription } from './description.ts';
import { PART_NAME } from './layout.ts';
import {
  clockText,
  putDescriptiveOptions,
  putEmptyText,
  putEventFormats,
  putFtraceFormats,
  putHeaderTexts,
  putSavedCommands,
  putStart,
} from './metadata-bytes.ts';

/**
 * The header.
 *
 * @param description what the file says
 * @param lanes where the pages will be, in the order of lane numbers from 0. The numbers in it do not change the
 *   header's length
 */
export function encodeV6Header(
  description: TraceDescription,
  lanes: readonly Pick<LanePlace, 'offset' | 'size'>[],
): Uint8Array {
  const header = new ByteBuilder();
  putStart(header, 6);
  putHeaderTexts(header, description);
  putFtraceFormats(header, description.formats);
  putEventFormats(header, description.formats);
  putEmptyText(header);
  putEmptyText(header);
  putSavedCommands(header, description);
  header.u32(lanes.length).text(PART_NAME.OPTIONS);
  putDescriptiveOptions(header, description);
  header.u16(0).text(PART_NAME.FLYRECORD);
  for (const { offset, size } of lanes) header.u64(offset).u64(size);
  const clock = clockText(description);
  header.u64(clock.length).text(clock);
  return header.built();
}
