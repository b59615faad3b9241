/**
 * `FileLane`: a lane of a recording's file, which is there from the first page on: only threads that write something are a CPU
 * of the file.
 */
import type { RecordingFile, RecordingLane } from '@usertrace/formats';
import type { PageSink } from './lane-copy.ts';

export class FileLane implements PageSink {
  readonly #file: RecordingFile;
  #lane: RecordingLane | undefined;

  /** @param file it is to be a lane of */
  constructor(file: RecordingFile) {
    this.#file = file;
  }

  /** Whether the file has it. */
  get hasBegun(): boolean {
    return this.#lane !== undefined;
  }

  /** Makes it a lane of the file, with or without a page. */
  begin(): RecordingLane {
    this.#lane ??= this.#file.addLane();
    return this.#lane;
  }

  append(pages: Uint8Array): void {
    this.#file.append(this.begin(), pages);
  }

  rewriteLast(page: Uint8Array): void {
    this.#file.rewriteLast(this.begin(), page);
  }

  /**
   * Nothing more is appended.
   *
   * @param events of it that the file has
   * @param lost ones that it has not
   */
  end(events: number, lost: number): void {
    if (this.#lane === undefined) return;
    this.#file.setStatistics(this.#lane, `entries: ${events}\noverrun: ${lost}\n`);
    this.#file.closeLane(this.#lane);
  }
}
