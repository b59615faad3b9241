/** Makes version 7 files with compression, as trace-cmd does where it has zlib. */

import { deflateSync } from 'node:zlib';
import { ByteBuilder } from './byte-builder.ts';
import type { TraceDescription } from './description.ts';
import { MAGIC, OPTION, SECTION, SECTION_COMPRESSED, SECTION_HEADER_SIZE } from './layout.ts';
import { encodeCommandSection, encodeFormatSections } from './v7-sections.ts';

const PAGES_IN_CHUNK = 3;
const PAGE = 4096;

/** A whole file; every section but the options is compressed. */
export function compressedV7(description: TraceDescription, lanes: readonly Uint8Array[]): Uint8Array {
  const file = new ByteBuilder();
  file.bytes(MAGIC).text('7\0').u8(0).u8(8).u32(PAGE).text('zlib\0').text('1.2\0');
  const pointer = file.length;
  file.u64(0);
  const offsets = new Map<number, number>();
  for (const { bytes, offsets: parts } of [
    encodeFormatSections(description),
    encodeCommandSection(description),
  ]) {
    for (const [id, start] of parts) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + start, SECTION_HEADER_SIZE);
      const body = bytes
        .subarray(start + SECTION_HEADER_SIZE)
        .subarray(0, Number(view.getBigUint64(8, true)));
      const compressed = deflateSync(body);
      offsets.set(id, file.length);
      file
        .u16(id)
        .u16(SECTION_COMPRESSED)
        .u32(0)
        .u64(compressed.length + 8);
      file.u32(compressed.length).u32(body.length).bytes(compressed);
    }
  }
  const buffer = file.length;
  file.u16(SECTION.BUFFER).u16(SECTION_COMPRESSED).u32(0).u64(0);
  const places: [offset: number, size: number][] = lanes.map((pages) => {
    const start = file.length;
    const size = PAGES_IN_CHUNK * PAGE;
    file.u32(Math.ceil(pages.length / size));
    for (let position = 0; position < pages.length; position += size) {
      const chunk = pages.subarray(position, position + size);
      const compressed = deflateSync(chunk);
      file.u32(compressed.length).u32(chunk.length).bytes(compressed);
    }
    return [start, file.length - start];
  });
  const options = new ByteBuilder();
  for (const [id, offset] of offsets) options.u16(id).u32(8).u64(offset);
  const instance = new ByteBuilder();
  instance.u64(buffer).text('\0mono\0').u32(PAGE).u32(places.length);
  for (const [cpu, [offset, size]] of places.entries()) instance.u32(cpu).u64(offset).u64(size);
  options.u16(OPTION.BUFFER).u32(instance.length).bytes(instance.built()).u16(OPTION.DONE).u32(8).u64(0);
  const optionsOffset = file.length;
  file.u16(SECTION.OPTIONS).u16(0).u32(0).u64(options.length).bytes(options.built());
  const bytes = file.built().slice();
  new DataView(bytes.buffer).setBigUint64(pointer, BigInt(optionsOffset), true);
  return bytes;
}
