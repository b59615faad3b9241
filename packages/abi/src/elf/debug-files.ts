/**
 * Where a file's symbols may be when they were cut off: the separate debug files that gdb looks for (gdb manual,
 * "Debugging Information in Separate Files").
 */

import type { ElfFile } from './elf-file.ts';
import { elfBuildId } from './notes.ts';

/** Where distributions put debug files. */
const DEBUG_FOLDER = '/usr/lib/debug';

/** What `.gnu_debuglink` says: a file's name and its CRC-32. */
interface DebugReference {
  readonly name: string;
  readonly checksum: number;
}

/**
 * The debug file that a file names.
 *
 * @throws {ElfError} if the section is cut off
 */
function debugReference(file: ElfFile): DebugReference | undefined {
  const section = file.section('.gnu_debuglink');
  if (section === undefined) return undefined;
  const content = file.content(section);
  const name = content.text(0);
  return { name, checksum: content.u32(Math.ceil((name.length + 1) / 4) * 4) };
}

/** A path to try, and how the file there shows that it is the right one. */
export interface DebugCandidate {
  readonly path: string;
  readonly proof: { readonly buildId: string } | { readonly checksum: number };
}

/**
 * Where the debug file of a file may be, the likeliest first.
 *
 * @param path the file's own absolute path
 * @param file the file
 */
export function debugCandidates(path: string, file: ElfFile): DebugCandidate[] {
  const buildId = elfBuildId(file);
  const byId =
    buildId === undefined || buildId.length < 4
      ? []
      : [
          {
            path: `${DEBUG_FOLDER}/.build-id/${buildId.slice(0, 2)}/${buildId.slice(2)}.debug`,
            proof: { buildId },
          },
        ];
  const reference = debugReference(file);
  // A name with a slash could lead anywhere.
  if (reference === undefined || reference.name === '' || reference.name.includes('/')) return byId;
  const folder = path.slice(0, path.lastIndexOf('/'));
  const folders = [folder, `${folder}/.debug`, `${DEBUG_FOLDER}${folder}`];
  const proof = { checksum: reference.checksum };
  return [...byId, ...folders.map((place) => ({ path: `${place}/${reference.name}`, proof }))];
}

const CHECKSUM_TABLE: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

/** The CRC-32 that `.gnu_debuglink` names, of the debug file's bytes. */
export function debugChecksum(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CHECKSUM_TABLE[(crc ^ byte) & 0xff] ?? 0);
  return ~crc >>> 0;
}
