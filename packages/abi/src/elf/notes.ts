/** Notes of an ELF file: the build id, and whatever else vendors put there. */

import type { ElfBytes } from './elf-bytes.ts';
import { type ElfFile, SECTION_TYPE, SEGMENT_TYPE } from './elf-file.ts';

const NOTE_HEADER_SIZE = 12;
const BUILD_ID_TYPE = 3;

export interface ElfNote {
  readonly owner: string;
  readonly type: number;
  readonly description: ElfBytes;
}

/**
 * The notes of a section or a segment. What is cut off at its end is left out.
 *
 * @param content its bytes
 */
export function readNotes(content: ElfBytes): ElfNote[] {
  const notes: ElfNote[] = [];
  let offset = 0;
  while (offset + NOTE_HEADER_SIZE <= content.length) {
    const ownerSize = content.u32(offset);
    const descriptionSize = content.u32(offset + 4);
    const type = content.u32(offset + 8);
    const ownerAt = offset + NOTE_HEADER_SIZE;
    const descriptionAt = ownerAt + padded(ownerSize);
    const end = descriptionAt + padded(descriptionSize);
    if (descriptionAt + descriptionSize > content.length) break;
    const owner = Buffer.from(content.part(ownerAt, ownerSize, 'a note').raw())
      .toString('latin1')
      .replace(/\0.*$/s, '');
    notes.push({ owner, type, description: content.part(descriptionAt, descriptionSize, 'a note') });
    offset = end;
  }
  return notes;
}

function padded(size: number): number {
  return Math.ceil(size / 4) * 4;
}

/**
 * The build id that the linker gave a file, in hex digits.
 *
 * @throws {ElfError} if its notes lie outside of the file
 */
export function elfBuildId(file: ElfFile): string | undefined {
  const contents = [
    ...file.sections.filter(({ type }) => type === SECTION_TYPE.note).map((section) => file.content(section)),
    ...file.segments
      .filter(({ type }) => type === SEGMENT_TYPE.note)
      .map((segment) => file.segmentContent(segment)),
  ];
  for (const content of contents) {
    const note = readNotes(content).find(({ owner, type }) => owner === 'GNU' && type === BUILD_ID_TYPE);
    if (note !== undefined) return Buffer.from(note.description.raw()).toString('hex');
  }
  return undefined;
}
