export { debugCandidates, debugChecksum, type DebugCandidate } from './debug-files.ts';
export { ElfBytes } from './elf-bytes.ts';
export { ElfError } from './elf-error.ts';
export {
  addressOf,
  ElfFile,
  fileOffsetOf,
  SECTION_TYPE,
  SEGMENT_TYPE,
  type ElfSection,
  type ElfSegment,
} from './elf-file.ts';
export { elfBuildId } from './notes.ts';
export { parseSdtArguments, sdtSites, type SdtArgument, type SdtOperand, type SdtSite } from './sdt.ts';
export { elfFunctions, type ElfFunction } from './symbols.ts';
export { elfLandingPads, type LandingPads } from './exception-tables.ts';
export { elfCodeRanges, type CodeRange } from './frames.ts';
