/** The package's module without the line that loads its WebAssembly, which Node cannot import; and what of WebAssembly that needs. */
declare module 'gecko-profiler-demangle/index_bg.js' {
  /** Takes the instance's exports. */
  // oxlint-disable-next-line no-underscore-dangle -- the package's name for it
  export function __wbg_set_wasm(exports: object): void;
  /** A C++, Rust or Microsoft name as its source has it. Of a name that is none, a first underscore is taken off. */
  export function demangle_any(name: string): string;
}

declare namespace WebAssembly {
  interface Instance {
    readonly exports: object;
  }
  const Module: new (bytes: Uint8Array) => object;
  const Instance: new (module: object, imports: object) => Instance;
}
