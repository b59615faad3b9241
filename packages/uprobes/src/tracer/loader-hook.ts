/**
 * Where the dynamic loader tells debuggers that libraries come and go: `_dl_debug_state`, which is `r_debug.r_brk` of rtld-debugger
 * interfaces (glibc's <link.h>, musl). It is called when libraries have been mapped and before their constructors run, and before
 * and after they are unmapped. The loader's symbol is there from exec on, when `r_debug` is not yet filled in.
 */

import { readFileSync, statSync } from 'node:fs';
import { FileSymbols } from '../target/file-symbols.ts';
import { AUXILIARY, auxiliaryVector } from '../process/auxiliary-vector.ts';
import { fileIdentity, type Mapping, mappingAt } from '../process/process-maps.ts';

const HOOK = '_dl_debug_state';
/** glibc's loader has 240 KB without its debug information. */
const LOADER_BYTES_MAX = 8_388_608;

/** The hooks of all loaders that were met. */
export class LoaderHooks {
  /** File offsets by the loader's identity; undefined for a program without a loader. */
  readonly #offsets = new Map<string, number | undefined>();

  /**
   * @param pid of a process that has the mappings
   * @returns the hook's address; undefined for a static program, and for a loader without one
   */
  addressIn(pid: number, mappings: readonly Mapping[]): number | undefined {
    const inLoader = loaderAddress(pid);
    const loader = inLoader === undefined ? undefined : mappingAt(mappings, inLoader);
    if (loader?.identity === undefined) return undefined;
    const { identity } = loader;
    if (!this.#offsets.has(identity))
      this.#offsets.set(identity, readHook(`/proc/${pid}/root${loader.path}`, identity));
    const offset = this.#offsets.get(identity);
    if (offset === undefined) return undefined;
    const code = mappings.find(
      (each) =>
        each.isExecutable &&
        each.identity === identity &&
        offset >= each.offset &&
        offset - each.offset < each.end - each.start,
    );
    return code === undefined ? undefined : code.start + offset - code.offset;
  }
}

/** An address in the loader; in the program itself when that was started without one, as loaders themselves are. */
function loaderAddress(pid: number): number | undefined {
  let values: Map<bigint, bigint>;
  try {
    values = auxiliaryVector(pid);
  } catch {
    return undefined;
  }
  const base = values.get(AUXILIARY.loader) ?? 0n;
  const address = base === 0n ? values.get(AUXILIARY.entry) : base;
  return address === undefined ? undefined : Number(address);
}

function readHook(path: string, identity: string): number | undefined {
  try {
    if (fileIdentity(path) !== identity || statSync(path).size > LOADER_BYTES_MAX) return undefined;
    const symbols = FileSymbols.open(path, {
      read: (file) => (file === path ? readFileSync(file) : undefined),
    });
    const offset = symbols?.functionOffset(HOOK);
    return offset === undefined ? undefined : Number(offset);
  } catch {
    // Gone, not ours to read, or no ELF file.
    return undefined;
  }
}
