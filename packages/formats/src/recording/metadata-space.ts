/**
 * The part of a recording file for metadata: blocks of bytes that are written once, become current, and are given up
 * some checkpoints later, so that a reader who has just found them can read them to the end. Then their space
 * is used anew; it never grows over its size.
 */

import { assert, ErrnoError } from '@usertrace/base';

/** For how many checkpoints a block that was replaced stays as it is. */
const KEPT_CHECKPOINTS = 4;
/** Blocks start on a multiple of this, in bytes. */
const ALIGNMENT = 8;

/** A part of the space. */
export interface MetadataBlock {
  /** From the file's start, in bytes. */
  readonly position: number;
  readonly size: number;
}

interface ReplacedBlock extends MetadataBlock {
  readonly reusableAt: number;
}

export class MetadataSpace {
  /** Free parts by position; no two touch. */
  #free: MetadataBlock[];
  #replaced: ReplacedBlock[] = [];
  #checkpoint = 0;
  readonly #size: number;

  /**
   * @param position where it starts in the file, a multiple of 8
   * @param size bytes
   */
  constructor(position: number, size: number) {
    assert(position % ALIGNMENT === 0, 'the space is aligned');
    this.#free = [{ position, size }];
    this.#size = size;
  }

  /**
   * Takes the first free part that is large enough.
   *
   * @param size bytes
   * @throws {ErrnoError} ENOSPC when there is none
   */
  allocate(size: number): MetadataBlock {
    const rounded = Math.ceil(size / ALIGNMENT) * ALIGNMENT;
    const index = this.#free.findIndex((part) => part.size >= rounded);
    const part = this.#free[index];
    if (part === undefined) {
      throw new ErrnoError(
        'ENOSPC',
        `Cannot describe the recording in ${this.#size} bytes: too many events or threads; start it with more metadata space`,
      );
    }
    const rest = { position: part.position + rounded, size: part.size - rounded };
    this.#free.splice(index, 1, ...(rest.size > 0 ? [rest] : []));
    return { position: part.position, size: rounded };
  }

  /** Gives a block back that never became current. */
  release(block: MetadataBlock): void {
    const parts = [...this.#free, block].toSorted((a, b) => a.position - b.position);
    this.#free = [];
    for (const part of parts) {
      const last = this.#free.at(-1);
      if (last !== undefined && last.position + last.size === part.position) {
        this.#free[this.#free.length - 1] = { position: last.position, size: last.size + part.size };
      } else this.#free.push(part);
    }
  }

  /** Says that a block is no longer current; it is used anew some checkpoints later. */
  replace(block: MetadataBlock): void {
    this.#replaced.push({ ...block, reusableAt: this.#checkpoint + KEPT_CHECKPOINTS });
  }

  /** Says that a checkpoint has become current. */
  passCheckpoint(): void {
    this.#checkpoint += 1;
    const reusable = this.#replaced.filter(({ reusableAt }) => reusableAt <= this.#checkpoint);
    if (reusable.length === 0) return;
    this.#replaced = this.#replaced.filter(({ reusableAt }) => reusableAt > this.#checkpoint);
    for (const { position, size } of reusable) this.release({ position, size });
  }
}
