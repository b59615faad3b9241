/** The functions of a file that definitions can name. */
import { fileOffsetOf } from '@usertrace/abi';

/** A function that a definition can name. */
export interface ProbeFunction {
  /** As the linker knows it. */
  readonly name: string;
  /** Of its first instruction in the file. */
  readonly offset: number;
  readonly size: number;
}

/**
 * Lists the functions of a file, its debug file's among them, by address; one with several names once for each.
 *
 * @returns undefined when it cannot be read, or is no program
 */
export async function listProbeFunctions(path: string): Promise<ProbeFunction[] | undefined> {
  // Reading code takes a library that clients of a prober need not load.
  const { SymbolFiles } = await import('./symbol-files.ts');
  const files = new SymbolFiles();
  const symbols = files.symbols(files.absolute(Buffer.from(path).toString('latin1'), process.cwd()));
  return symbols?.image.functions
    .filter(({ isIndirect }) => !isIndirect)
    .flatMap(({ names, address, size }) => {
      const offset = fileOffsetOf(symbols.file, BigInt(address));
      return offset === undefined ? [] : names.map((name) => ({ name, offset: Number(offset), size }));
    });
}
