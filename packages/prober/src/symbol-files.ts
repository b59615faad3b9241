/**
 * `SymbolFiles`: what definitions ask about files: whether one is there, and where its functions are. The last files are kept, since
 * reading the symbols of a large one takes a second.
 */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { addressOf, ElfError } from '@usertrace/abi';
import { type DefinitionPort, fileIdentity, FileSymbols, type PathFinding } from '@usertrace/uprobes';

/** Files whose symbols are kept. */
const FILES_KEPT = 4;
/** A file that is larger is not read. */
const FILE_BYTES_MAX = 1024 * 1024 * 1024;

interface KeptFile {
  /** Device, inode, size and time of change: other contents have others. */
  readonly version: string;
  readonly symbols: FileSymbols | undefined;
}

export class SymbolFiles implements DefinitionPort {
  readonly #keptByPath = new Map<string, KeptFile>();
  /** Where relative paths begin, while a definition is read. */
  folder = '/';

  look(path: string): PathFinding {
    const absolute = this.absolute(path);
    try {
      const stat = statSync(absolute);
      return stat.isFile() ? { kind: 'regular', identity: fileIdentity(absolute) } : { kind: 'other' };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return { kind: 'missing', errno: code === 'ENOTDIR' || code === 'EACCES' ? code : 'ENOENT' };
    }
  }

  functionOffset(path: string, name: string): bigint | undefined {
    return this.symbols(this.absolute(path))?.functionOffset(name);
  }

  /** A path of a definition, one character a byte, as the system has it. */
  absolute(path: string, folder: string = this.folder): string {
    return resolve(folder, Buffer.from(path, 'latin1').toString());
  }

  /**
   * The function at an offset of a file.
   *
   * @param path absolute
   */
  symbolAt(path: string, offset: bigint): SymbolPlace | undefined {
    const symbols = this.symbols(path);
    const address = symbols === undefined ? undefined : addressOf(symbols.file, offset);
    const found = address === undefined ? undefined : symbols?.image.functionAt(Number(address));
    const name = found?.names[0];
    if (found === undefined || name === undefined) return undefined;
    return { name, offset: Number(address) - found.address };
  }

  /**
   * The functions of a file.
   *
   * @param path absolute
   * @returns undefined when it cannot be read or is no program
   */
  symbols(path: string): FileSymbols | undefined {
    const version = versionOf(path);
    if (version === undefined) return undefined;
    let kept = this.#keptByPath.get(path);
    if (kept?.version !== version) kept = { version, symbols: readSymbols(path) };
    // The one that was asked for last stands last.
    this.#keptByPath.delete(path);
    this.#keptByPath.set(path, kept);
    const [oldest] = this.#keptByPath.keys();
    if (this.#keptByPath.size > FILES_KEPT && oldest !== undefined) this.#keptByPath.delete(oldest);
    return kept.symbols;
  }
}

/** A function that an offset in a file is in. */
export interface SymbolPlace {
  /** As the linker knows it. */
  readonly name: string;
  /** Bytes behind its beginning. */
  readonly offset: number;
}

function versionOf(path: string): string | undefined {
  try {
    const { dev, ino, size, mtimeMs } = statSync(path);
    return size > FILE_BYTES_MAX ? undefined : `${dev}:${ino}:${size}:${mtimeMs}`;
  } catch {
    return undefined;
  }
}

function readSymbols(path: string): FileSymbols | undefined {
  try {
    return FileSymbols.open(path, { read: readWhole });
  } catch (error) {
    if (error instanceof ElfError) return undefined;
    throw error;
  }
}

function readWhole(path: string): Uint8Array | undefined {
  try {
    return statSync(path).size > FILE_BYTES_MAX ? undefined : readFileSync(path);
  } catch {
    return undefined;
  }
}
