/** Files whose functions are known, for as long as they are asked for often: the last two. */

import { readFileSync } from 'node:fs';
import { ElfError } from '@usertrace/abi';
import { fileIdentity } from '../breakpoint/process-maps.ts';
import { FileSymbols } from './file-symbols.ts';

/** A large program takes some 200 MB. */
const FILES_MAX = 2;

export class AnalysedFiles {
  /** By identity, the one used last at the end. */
  readonly #files = new Map<string, FileSymbols | undefined>();

  /** @returns undefined for what is not there, is another file by now, or no program */
  open(path: string, identity: string): FileSymbols | undefined {
    const isKnown = this.#files.has(identity);
    const symbols = isKnown ? this.#files.get(identity) : openFile(path, identity);
    this.#files.delete(identity);
    if (this.#files.size >= FILES_MAX)
      for (const first of [...this.#files.keys()].slice(0, 1)) this.#files.delete(first);
    this.#files.set(identity, symbols);
    return symbols;
  }
}

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
