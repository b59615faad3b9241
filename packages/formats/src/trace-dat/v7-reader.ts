/** Reads the options and sections of a version 7 file. */

import type { ReadableFile } from '../file-port.ts';
import { type Decompress, decompressor } from './compression.ts';
import type { LanePlace } from './description.ts';
import { damaged, FileCursor } from './file-cursor.ts';
import { memoryFile } from './memory-file.ts';
import { OPTION, SECTION, SECTION_COMPRESSED, SECTION_HEADER_SIZE } from './layout.ts';
import {
  BOUND,
  FormatCollection,
  noOptionFacts,
  noteOption,
  readHeaderTexts,
  readSavedCommands,
} from './metadata-reader.ts';
import type { FileContents } from './trace-dat-file.ts';

/** Each instance of trace-cmd adds an options section. */
const OPTION_SECTIONS_MAX = 4096;
const SECTION_MAX = 192 << 20;

/** One trace instance's lanes. */
interface Instance {
  readonly name: string;
  readonly clock: string;
  readonly isCompressed: boolean;
  readonly lanes: readonly LanePlace[];
}

/**
 * @param file the whole file
 * @param cursor behind the page size
 */
export function readV7(file: ReadableFile, cursor: FileCursor): FileContents {
  const compression = cursor.cString('the name of its compression', BOUND.name);
  cursor.cString('the version of its compression', BOUND.name);
  const reader = new V7Reader(file, compression === 'none' ? undefined : decompressor(compression));
  return reader.read(cursor.size());
}

class V7Reader {
  readonly #file: ReadableFile;
  readonly #decompress: Decompress | undefined;
  readonly #sectionOffsets = new Map<number, number>();
  readonly #instances: Instance[] = [];
  readonly #facts = noOptionFacts();
  #metadataStart = Number.MAX_SAFE_INTEGER;

  constructor(file: ReadableFile, decompress: Decompress | undefined) {
    this.#file = file;
    this.#decompress = decompress;
  }

  read(optionsOffset: number): FileContents {
    this.#readOptions(optionsOffset);
    const [instance, ...others] = this.#instances.toSorted(
      (a, b) => Number(a.name !== '') - Number(b.name !== ''),
    );
    const headerTexts = readHeaderTexts(this.#required(SECTION.HEADER_INFO, 'header_page'));
    const collection = new FormatCollection();
    const ftrace = this.#section(SECTION.FTRACE_EVENTS);
    if (ftrace !== undefined) collection.readFtrace(ftrace);
    const systems = this.#section(SECTION.EVENT_FORMATS);
    if (systems !== undefined) collection.readSystems(systems);
    const commands = this.#section(SECTION.CMDLINES);
    const commByPid = commands === undefined ? new Map<number, string>() : readSavedCommands(commands);
    const clock = instance?.clock ?? this.#facts.clock ?? 'local';
    return {
      description: { ...headerTexts, formats: collection.formats, commByPid, ...this.#facts, clock },
      lanes: instance?.lanes ?? [],
      decompress: instance?.isCompressed === true ? this.#decompress : undefined,
      otherInstances: others.map(({ name }) => name),
      metadataStart: this.#metadataStart,
    };
  }

  #readOptions(firstOffset: number): void {
    let options = 0;
    let bytes = 0;
    for (let offset = firstOffset, sections = 0; offset !== 0; sections++) {
      if (sections > OPTION_SECTIONS_MAX) throw damaged('options sections without an end');
      const cursor = this.#open(offset, SECTION.OPTIONS);
      offset = 0;
      while (cursor.left > 0) {
        const id = cursor.u16();
        const option = cursor.bytes(cursor.u32(), 'an option', BOUND.option);
        bytes += option.length;
        if (++options > BOUND.options || bytes > BOUND.option)
          throw damaged(`${options} options of ${bytes} bytes`);
        if (id === OPTION.DONE) {
          offset = option.length < 8 ? 0 : new FileCursor(memoryFile(option), 0).size();
          break;
        }
        this.#noteOption(id, option);
      }
    }
  }

  #noteOption(id: number, option: Uint8Array): void {
    const cursor = new FileCursor(memoryFile(option), 0);
    if (id === OPTION.BUFFER) this.#instances.push(this.#readInstance(cursor));
    else if (id >= OPTION.HEADER_INFO && id <= OPTION.CMDLINES) this.#sectionOffsets.set(id, cursor.size());
    else noteOption(this.#facts, id, option);
  }

  #readInstance(cursor: FileCursor): Instance {
    const sectionOffset = cursor.size();
    const name = cursor.cString('the name of an instance', BOUND.name);
    const clock = cursor.cString('the name of a clock', BOUND.name);
    cursor.u32();
    const count = cursor.u32();
    if (count > BOUND.lanes) throw damaged(`${count} CPUs`);
    const lanes: LanePlace[] = [];
    for (let index = 0; index < count; index++) {
      const cpu = cursor.u32();
      if (cpu >= BOUND.lanes) throw damaged(`a CPU ${cpu}`);
      const offset = cursor.size();
      lanes.push({ cpu, offset, size: cursor.size() });
    }
    const section = new FileCursor(this.#file, sectionOffset);
    if (section.u16() !== SECTION.BUFFER) throw damaged('no section of events where its options say');
    const isCompressed = (section.u16() & SECTION_COMPRESSED) !== 0;
    if (isCompressed && this.#decompress === undefined) throw damaged('compressed events and no compression');
    return { name, clock, isCompressed, lanes };
  }

  #required(id: number, what: string): FileCursor {
    const cursor = this.#section(id);
    if (cursor === undefined) throw damaged(`no ${what}`);
    return cursor;
  }

  #section(id: number): FileCursor | undefined {
    const offset = this.#sectionOffsets.get(id);
    return offset === undefined ? undefined : this.#open(offset, id);
  }

  /** The body of a section. */
  #open(offset: number, id: number): FileCursor {
    const header = new FileCursor(this.#file, offset);
    const foundId = header.u16();
    if (foundId !== id) throw damaged(`section ${foundId} where its options say ${id}`);
    const isCompressed = (header.u16() & SECTION_COMPRESSED) !== 0;
    header.u32();
    const size = header.size();
    this.#metadataStart = Math.min(this.#metadataStart, offset);
    if (!isCompressed) {
      if (size > header.left) throw damaged(`a section of ${size} bytes`);
      return new FileCursor(this.#file, offset + SECTION_HEADER_SIZE, offset + SECTION_HEADER_SIZE + size);
    }
    if (this.#decompress === undefined) throw damaged('a compressed section and no compression');
    const compressedSize = header.u32();
    const wholeSize = header.u32();
    if (wholeSize > SECTION_MAX) throw damaged(`a section of ${wholeSize} bytes`);
    const bytes = this.#decompress(header.bytes(compressedSize, 'a section', SECTION_MAX), wholeSize);
    return new FileCursor(memoryFile(bytes), 0);
  }
}
