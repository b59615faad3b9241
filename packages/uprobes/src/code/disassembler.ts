/**
 * The door to iced-x86, which is WebAssembly: it is loaded at first use, since compiling it takes some 10 ms that a
 * program without native probes should not pay.
 */

import { createRequire } from 'node:module';

/** What iced-x86 exports. */
export type Iced = typeof import('iced-x86');

let loaded: Iced | undefined;

/** iced-x86, loaded if it was not yet. */
export function disassembler(): Iced {
  loaded ??= createRequire(import.meta.url)('iced-x86') as Iced;
  return loaded;
}
