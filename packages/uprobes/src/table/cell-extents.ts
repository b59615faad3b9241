/** Which cells are in use: extents in the order of their beginnings, found by first fit. */

interface Extent {
  readonly start: number;
  readonly cells: number;
}

/** Gives out and takes back runs of cells. */
export class CellExtents {
  readonly #end: number;
  readonly #extents: Extent[] = [];

  /** @param cellCount how many there are; cell 0 is never given out */
  constructor(cellCount: number) {
    this.#end = cellCount;
  }

  /** Cells in use. */
  get used(): number {
    return this.#extents.reduce((sum, { cells }) => sum + cells, 0);
  }

  /** @returns where so many free cells begin, undefined if there are none together */
  take(cells: number): number | undefined {
    let start = 1;
    let place = 0;
    for (const extent of this.#extents) {
      if (extent.start - start >= cells) break;
      start = extent.start + extent.cells;
      place++;
    }
    if (start + cells > this.#end) return undefined;
    this.#extents.splice(place, 0, { start, cells });
    return start;
  }

  /** @param start what `take` gave */
  giveBack(start: number): void {
    const place = this.#extents.findIndex((extent) => extent.start === start);
    if (place >= 0) this.#extents.splice(place, 1);
  }
}
