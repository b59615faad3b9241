/** ElfError: a file is no ELF file that can be read, or lies about itself. An expected failure, as files come from anywhere. */
export class ElfError extends Error {
  /** @param reason what is wrong, such as `its section table lies outside of the file` */
  constructor(reason: string) {
    super(`Cannot read the ELF file: ${reason}`);
    this.name = 'ElfError';
  }
}
