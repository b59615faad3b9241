/** Files whose functions are known, for as long as they are asked for often: the last two. Reading one takes up to a second. */

import { readFileSync } from 'node:fs';
import { ElfError } from '@usertrace/abi';
import { fileIdentity } from '../process/process-maps.ts';
import { FileSymbols } from './file-symbols.ts';

/** A large program takes some 200 MB. */
const FILES_MAX = 2;

/** Those of now. */
export class AnalysedFiles {
  /** By identity, the one used last at the end. */
  readonly #files = new Map<string, FileSymbols>();

  /** @returns undefined for what is not there, is another file by now, or no program */
  open(path: string, identity: string): FileSymbols | undefined {
    const symbols = this.#files.get(identity) ?? openFile(path, identity);
    if (symbols === undefined) return undefined;
    this.#files.delete(identity);
    if (this.#files.size >= FILES_MAX)
      for (const first of [...this.#files.keys()].slice(0, 1)) this.#files.delete(first);
    this.#files.set(identity, symbols);
    return symbols;
  }
}

/** The file, if it is the one that is meant. */
function openFile(path: string, identity: string): FileSymbols | undefined {
  try {
    if (fileIdentity(path) !== identity) return undefined;
    return FileSymbols.open(path, { read: readIfThere });
  } catch (error) {
    if (error instanceof ElfError || (error as NodeJS.ErrnoException).code !== undefined) return undefined;
    throw error;
  }
}

function readIfThere(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
