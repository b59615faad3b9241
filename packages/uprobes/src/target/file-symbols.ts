/**
 * FileSymbols knows the functions of one file by name: its own tables, and those of its separate debug file where one
 * is found and proves to be the right one. It is made once for a file and never changes.
 */

import { debugCandidates, debugChecksum, elfBuildId, ElfError, ElfFile, fileOffsetOf } from '@usertrace/abi';
import { FileImage, type ImageFunction } from '../code/image.ts';

/** Reads files; a caller decides with whose rights, and how large they may be. */
export interface FileReader {
  /** A file's bytes, or undefined if it is not there or may not be read. */
  read(path: string): Uint8Array | undefined;
}

export class FileSymbols {
  readonly file: ElfFile;
  readonly image: FileImage;
  /** Where the symbols are from: the file itself, or its debug file. */
  readonly symbolPath: string;
  readonly #byName: ReadonlyMap<string, ImageFunction>;

  /**
   * @param path the file's absolute path
   * @param reader reads it and its debug files
   * @returns undefined if the file is not there
   * @throws {ElfError} if it is no ELF file for this machine, or lies about itself
   */
  static open(path: string, reader: FileReader): FileSymbols | undefined {
    const bytes = reader.read(path);
    if (bytes === undefined) return undefined;
    const file = new ElfFile(bytes);
    const debug = file.section('.symtab') === undefined ? findDebugFile(path, file, reader) : undefined;
    return new FileSymbols(file, debug?.file ?? file, debug?.path ?? path);
  }

  private constructor(file: ElfFile, symbols: ElfFile, symbolPath: string) {
    this.file = file;
    this.symbolPath = symbolPath;
    // A debug file need not list what the file exports.
    const own = new FileImage(file);
    const other = symbols === file ? own : new FileImage(file, symbols);
    this.image = other.functions.length >= own.functions.length ? other : own;
    const byName = new Map<string, ImageFunction>();
    for (const image of [other, own]) {
      for (const found of image.functions) {
        for (const name of found.names) if (!byName.has(name)) byName.set(name, found);
      }
    }
    this.#byName = byName;
  }

  /** The function of a name, as the linker knows it. */
  functionNamed(name: string): ImageFunction | undefined {
    return this.#byName.get(name);
  }

  /**
   * Where in the file a function begins.
   *
   * @returns undefined if there is none of that name, or if it is one that only chooses another (an IFUNC)
   */
  functionOffset(name: string): bigint | undefined {
    const found = this.#byName.get(name);
    return found === undefined || found.isIndirect
      ? undefined
      : fileOffsetOf(this.file, BigInt(found.address));
  }
}

function findDebugFile(
  path: string,
  file: ElfFile,
  reader: FileReader,
): { path: string; file: ElfFile } | undefined {
  for (const candidate of debugCandidates(path, file)) {
    const bytes = reader.read(candidate.path);
    if (bytes === undefined) continue;
    const debug = readElf(bytes);
    if (debug === undefined) continue;
    const isRight =
      'buildId' in candidate.proof
        ? elfBuildId(debug) === candidate.proof.buildId
        : debugChecksum(bytes) === candidate.proof.checksum;
    if (isRight) return { path: candidate.path, file: debug };
  }
  return undefined;
}

/** A debug file that is broken is as good as none. */
function readElf(bytes: Uint8Array): ElfFile | undefined {
  try {
    return new ElfFile(bytes);
  } catch (error) {
    if (error instanceof ElfError) return undefined;
    throw error;
  }
}
