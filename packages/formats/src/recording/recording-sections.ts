/**
 * `RecordingSections`: everything of a recording that is not pages, as version 7 has it: sections of formats, one of threads' names,
 * and the options that lead to them and to the lanes. What changed is written into free space; what it replaces stays until the
 * checkpoint has passed that no longer leads there.
 */
import { HEADER_EVENT_TEXT, HEADER_PAGE_TEXT } from '@usertrace/abi';
import type { WritableFile } from '../file-port.ts';
import type { EventFormatText, LanePlace, TraceDescription } from '../trace-dat/description.ts';
import {
  encodeCommandSection,
  encodeFormatSections,
  encodeOptions,
  type SectionBlock,
} from '../trace-dat/v7-sections.ts';
import type { Region } from './lane-regions.ts';
import type { MetadataBlock, MetadataSpace } from './metadata-space.ts';

/** What a recording says of itself. */
export interface RecordingIdentity {
  /** The clock of all timestamps, by its name in `trace_clock`; `mono` unless told otherwise. */
  readonly clock?: string;
  /** What `uname -snrm` prints. */
  readonly uname: string;
  /** The program that records; finishing a recording later wants it to begin with `usertrace`. */
  readonly version: string;
  /** A number of this recording alone. */
  readonly traceId: bigint;
}

/** Sections in the file, as the current or the following checkpoint leads to them. */
interface PlacedSections {
  readonly block: MetadataBlock;
  readonly offsets: ReadonlyMap<number, number>;
}

export class RecordingSections {
  readonly #file: WritableFile;
  readonly #space: MetadataSpace;
  readonly #identity: RecordingIdentity;
  readonly #formats: EventFormatText[] = [];
  readonly #commByPid = new Map<number, string>();
  /** Undefined when they have changed since they were written. */
  #formatSections: PlacedSections | undefined;
  #commandSection: PlacedSections | undefined;
  /** Blocks of the current checkpoint that the following one will not lead to. */
  #outdated: MetadataBlock[] = [];
  #optionsBlock: MetadataBlock | undefined;

  /**
   * @param file where they are written
   * @param space of the file that is for them
   */
  constructor(file: WritableFile, space: MetadataSpace, identity: RecordingIdentity) {
    this.#file = file;
    this.#space = space;
    this.#identity = identity;
  }

  /** Adds an event's format. */
  addFormat(format: EventFormatText): void {
    this.#formats.push(format);
    if (this.#formatSections !== undefined) this.#outdated.push(this.#formatSections.block);
    this.#formatSections = undefined;
  }

  /**
   * Notes a thread's name.
   *
   * @returns whether it is new
   */
  setComm(pid: number, comm: string): boolean {
    if (this.#commByPid.get(pid) === comm) return false;
    this.#commByPid.set(pid, comm);
    if (this.#commandSection !== undefined) this.#outdated.push(this.#commandSection.block);
    this.#commandSection = undefined;
    return true;
  }

  /**
   * Writes what changed into free space.
   *
   * @param regions of the lanes
   * @returns where the options section is
   * @throws {ErrnoError} ENOSPC, when they have outgrown their place
   * @throws {Error} Node's, when the disk is full
   */
  write(regions: readonly Region[]): number {
    const description = this.#describe(regions);
    this.#formatSections ??= this.#place(encodeFormatSections(description));
    this.#commandSection ??= this.#place(encodeCommandSection(description));
    const offsets = new Map([...this.#formatSections.offsets, ...this.#commandSection.offsets]);
    const places = regions.map(
      ({ cpu, start, end }): LanePlace => ({ cpu, offset: start, size: end - start }),
    );
    const block = this.#write(encodeOptions(description, offsets, places));
    if (this.#optionsBlock !== undefined) this.#outdated.push(this.#optionsBlock);
    this.#optionsBlock = block;
    return block.position;
  }

  /** The file leads to what was written last: what it led to before is free. */
  passCheckpoint(): void {
    for (const block of this.#outdated) this.#space.replace(block);
    this.#outdated = [];
    this.#space.passCheckpoint();
  }

  #describe(regions: readonly Region[]): TraceDescription {
    const { clock = 'mono', uname, version, traceId } = this.#identity;
    const texts = regions.map(({ lane }) => lane?.statistics ?? '');
    return {
      headerPage: HEADER_PAGE_TEXT,
      headerEvent: HEADER_EVENT_TEXT,
      formats: this.#formats,
      commByPid: this.#commByPid,
      clock,
      uname,
      version,
      traceId,
      statistics: texts.filter((text) => text !== ''),
    };
  }

  #place({ bytes, offsets }: SectionBlock): PlacedSections {
    const block = this.#write(bytes);
    return { block, offsets: new Map([...offsets].map(([id, offset]) => [id, block.position + offset])) };
  }

  #write(bytes: Uint8Array): MetadataBlock {
    const block = this.#space.allocate(bytes.length);
    try {
      this.#file.write(block.position, bytes);
    } catch (error) {
      this.#space.release(block);
      throw error;
    }
    return block;
  }
}
