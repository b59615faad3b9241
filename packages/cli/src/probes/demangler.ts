/** Names of C++ and Rust functions as their sources have them. The library is half a megabyte, and loaded when it is first needed. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import * as bindings from 'gecko-profiler-demangle/index_bg.js';

/** How mangled names begin: Itanium C++ ABI and Rust's first scheme, and Rust's second. The library also knows other systems' names. */
const MANGLED = /^_[ZR]/;

/** Makes the function that demangles. Costs some 10 ms. */
export function loadDemangler(): (name: string) => string {
  const path = createRequire(import.meta.url).resolve('gecko-profiler-demangle/index_bg.wasm');
  const module = new WebAssembly.Module(readFileSync(path));
  const { exports } = new WebAssembly.Instance(module, { './index_bg.js': { ...bindings } });
  // oxlint-disable-next-line no-underscore-dangle -- the package's name for it
  bindings.__wbg_set_wasm(exports);
  return (name) => {
    if (!MANGLED.test(name)) return name;
    // What a compiler split off has a suffix, such as `.cold`.
    const suffix = name.indexOf('.');
    if (suffix < 0) return demangled(name);
    return `${demangled(name.slice(0, suffix))} [${name.slice(suffix + 1)}]`;
  };
}

function demangled(name: string): string {
  const text = bindings.demangle_any(name);
  // What it does not understand comes back without the underscore.
  return text === name.slice(1) ? name : text;
}
