/**
 * A BranchIndex knows every place of a stretch of code to which a 32-bit branch may lead: bytes that look like a
 * call, jump or branch at any byte, whether an instruction begins there or not. So it never misses one, and needs no
 * disassembly: 50 MB take a fraction of a second. What it finds is looked at more closely where that can be done.
 *
 * It is for branches from outside of a function: hand-written code and split functions have them.
 */

/** Targets are looked up by blocks of this many bytes (a power of two's exponent). */
const BLOCK_SHIFT = 8;

export class BranchIndex {
  readonly #address: number;
  readonly #code: Uint8Array;
  /** For each block, where its entries begin; one more for the end. */
  readonly #starts: Uint32Array;
  /** By block: the target and the source of each branch, as offsets in the code. */
  readonly #targets: Uint32Array;
  readonly #sources: Uint32Array;

  /**
   * @param code all the code that may branch
   * @param address where it stands
   */
  constructor(code: Uint8Array, address: number) {
    this.#address = address;
    this.#code = code;
    const blocks = (code.length >> BLOCK_SHIFT) + 2;
    const counts = new Uint32Array(blocks);
    let total = 0;
    eachBranch(code, (_source, target) => {
      counts[(target >> BLOCK_SHIFT) + 1]! += 1;
      total += 1;
    });
    for (let block = 1; block < blocks; block++) counts[block]! += counts[block - 1]!;
    this.#starts = counts;
    this.#targets = new Uint32Array(total);
    this.#sources = new Uint32Array(total);
    const filled = counts.slice();
    eachBranch(code, (source, target) => {
      const at = filled[target >> BLOCK_SHIFT]!++;
      this.#targets[at] = target;
      this.#sources[at] = source;
    });
  }

  /**
   * Where branches into a stretch may begin.
   *
   * @param from the stretch's first address
   * @param to the address behind it
   * @returns addresses of their first bytes
   */
  sourcesInto(from: number, to: number): number[] {
    const [start, end] = [from - this.#address, to - this.#address];
    if (start < 0 || end > this.#code.length || start >= end) return [];
    const sources = this.#shortSourcesInto(start, end);
    const [first, last] = [
      this.#starts[start >> BLOCK_SHIFT]!,
      this.#starts[((end - 1) >> BLOCK_SHIFT) + 1]!,
    ];
    for (let at = first; at < last; at++) {
      const target = this.#targets[at]!;
      if (target >= start && target < end) sources.push(this.#sources[at]!);
    }
    return sources.map((source) => source + this.#address);
  }

  /** Branches of 8 bits reach 127 bytes, and so only the neighbourhood is looked at. */
  #shortSourcesInto(start: number, end: number): number[] {
    const code = this.#code;
    const sources: number[] = [];
    for (let at = Math.max(0, start - 129); at < Math.min(code.length - 1, end + 128); at++) {
      const byte = code[at]!;
      const isShort = byte === 0xeb || (byte & 0xf0) === 0x70 || (byte & 0xfc) === 0xe0;
      if (!isShort) continue;
      const target = at + 2 + ((code[at + 1]! << 24) >> 24);
      if (target >= start && target < end) sources.push(at);
    }
    return sources;
  }
}

/** Calls back for every byte that may begin `e8`, `e9` or `0f 8x` with a distance that stays in the code. */
function eachBranch(code: Uint8Array, found: (source: number, target: number) => void): void {
  for (let at = 0; at + 5 <= code.length; at++) {
    const byte = code[at]!;
    if ((byte & 0xfe) === 0xe8) report(code, at, at + 1, found);
    else if (byte === 0x0f && (code[at + 1]! & 0xf0) === 0x80 && at + 6 <= code.length)
      report(code, at, at + 2, found);
  }
}

function report(
  code: Uint8Array,
  source: number,
  at: number,
  found: (source: number, target: number) => void,
): void {
  const distance = code[at]! | (code[at + 1]! << 8) | (code[at + 2]! << 16) | (code[at + 3]! << 24);
  const target = at + 4 + distance;
  if (target >= 0 && target < code.length) found(source, target);
}
