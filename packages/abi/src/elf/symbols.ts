/** The functions of an ELF file, from `.symtab` and `.dynsym`. */

import { ElfError } from './elf-error.ts';
import { type ElfFile, type ElfSection, SECTION_TYPE } from './elf-file.ts';

const SYMBOL_SIZE = 24;
/** The kinds of symbols that name code (st_info's low bits). */
const KINDS: ReadonlyMap<number, ElfFunction['kind']> = new Map([
  [2, 'function'],
  [10, 'indirect'],
]);

export interface ElfFunction {
  /** As the linker knows it, without the `@VERSION` that some linkers append. */
  readonly name: string;
  /** As the file counts addresses. */
  readonly address: bigint;
  /** In bytes; 0 if the file does not say. */
  readonly size: number;
  /** `indirect` (STT_GNU_IFUNC): not the function, but what chooses among several when the file is loaded. */
  readonly kind: 'function' | 'indirect';
}

/**
 * All functions that a file defines, those of both tables; one that stands in both is listed once.
 *
 * @throws {ElfError} if a table lies about itself
 */
export function elfFunctions(file: ElfFile): ElfFunction[] {
  const byKey = new Map<string, ElfFunction>();
  for (const section of file.sections) {
    if (section.type === SECTION_TYPE.symbolTable || section.type === SECTION_TYPE.dynamicSymbols) {
      for (const found of tableFunctions(file, section)) byKey.set(`${found.address} ${found.name}`, found);
    }
  }
  return [...byKey.values()];
}

function tableFunctions(file: ElfFile, section: ElfSection): ElfFunction[] {
  const table = file.content(section);
  const names = file.sections[section.companion];
  if (names === undefined) throw new ElfError(`section ${section.name} has no texts`);
  const texts = file.content(names);
  const found: ElfFunction[] = [];
  for (let offset = 0; offset + SYMBOL_SIZE <= table.length; offset += SYMBOL_SIZE) {
    const kind = KINDS.get(table.u8(offset + 4) & 15);
    const isDefined = table.u16(offset + 6) !== 0;
    if (kind === undefined || !isDefined) continue;
    const [name = ''] = texts.text(table.u32(offset)).split('@', 1);
    found.push({ name, address: table.u64(offset + 8), size: table.count(offset + 16), kind });
  }
  return found;
}
