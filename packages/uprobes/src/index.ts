export {
  ARGUMENTS_MAX,
  DEFAULT_GROUP,
  parseDefinition,
  type DefinitionPort,
  type PathFinding,
  type ProbeDefinition,
} from './definition/definition.ts';
export { definitionLine, DefinitionSet, type DefinitionSetPort } from './definition/definition-set.ts';
export { REFUSALS, type RefusalErrno, type RefusalName } from './definition/error-texts.ts';
export {
  eventLayout,
  probeFormatText,
  type ArgumentPlace,
  type EventLayout,
} from './definition/event-format.ts';
export {
  REGISTERS,
  type Dereference,
  type FetchArgument,
  type FetchSource,
  type RegisterName,
} from './definition/fetch-argument.ts';
export { DefinitionRefusal, type RefusalLogEntry } from './definition/refusal.ts';
export { ARRAY_ITEMS_MAX, type BasicType, type BitField, type ValueType } from './definition/value-type.ts';
export { disassembler, type Iced } from './code/disassembler.ts';
export { FileImage, type ImageFunction } from './code/image.ts';
export {
  disassemble,
  INSTRUCTION_BYTES_MAX,
  type CodeInstruction,
  type Disassembly,
  type Flow,
} from './code/instruction.ts';
export { type CodeImage } from './code/jump-tables.ts';
export {
  analyseFunction,
  JUMP_BYTES,
  placeInFunction,
  placeProbe,
  type BreakpointReason,
  type FunctionAnalysis,
  type FunctionRange,
  type Placement,
  type PlacementInput,
} from './code/placement.ts';
export {
  returnSites,
  type ReturnSite,
  type ReturnSites,
  type UnknownReturns,
} from './code/return-sites.ts';
export {
  relocate,
  relocateAll,
  UnmovableInstruction,
  type UnmovableReason,
} from './code/relocation.ts';
export { sdtDefinition, type SdtDefinition } from './definition/sdt-definition.ts';
export { probeRefusal, type RefusalReason } from './code/probe-rules.ts';
export {
  GATE,
  LANE_HEADER,
  LANE_MARGIN,
  laneSets,
  type LaneGeometry,
  type LaneSet,
  type LaneShape,
  SLOT,
} from './trampoline/lane-layout.ts';
export { PROCESS_WORDS } from './trampoline/thread-identity.ts';
export {
  LONG_TEXTS_SIZE,
  type SlotLayout,
  slotLayout,
  slotText,
  TEXT_BYTES_MAX,
  TRAMPOLINE_ARGUMENTS_MAX,
  type ValuePlace,
} from './trampoline/slot-layout.ts';
export {
  makeTrampoline,
  type TrampolineCondition,
  type TrampolineInput,
  type TrampolineProbe,
} from './trampoline/trampoline.ts';
export { FileSymbols, type FileReader } from './target/file-symbols.ts';
export { type FileMapping, type FileProbe, MAPPINGS_MAX, PROBES_MAX } from './table/table-layout.ts';
export { READERS_MAX, SharedTableMemory, SPACES_MAX } from './table/table-memory.ts';
export { NO_PROBE, TableReader } from './table/table-reader.ts';
export { TableWriter } from './table/table-writer.ts';
export { ProbeTracer, type ProbeState } from './tracer/probe-tracer.ts';
export { type FetchedValue, fetchValue } from './breakpoint/fetching.ts';
export { slotValues } from './jump/slot-values.ts';
export { type Hit } from './tracer/consumer.ts';
export { fileIdentity, type Mapping, readMappings } from './process/process-maps.ts';
export { CounterClock } from './lane/counter-clock.ts';
export { HitQueue } from './lane/hit-queue.ts';
export { type SlotHit } from './lane/lane.ts';
export { LanesReader } from './lane/lanes-reader.ts';
export { RECORD_SIZE_MAX, RecordEncoder } from './record/record-encoder.ts';
export { filterCondition } from './filter/filter-condition.ts';
export { filterFields } from './filter/filter-field.ts';
export { MachineCode } from './trampoline/machine-code.ts';
export { ENTRY, type FallbackCode, type FallbackInput, makeFallbackCode } from './fallback/fallback-code.ts';
export { type SignalAction } from './fallback/signal-action.ts';
export { JumpHit } from './jump/jump-hit.ts';
export { type JumpObstacle } from './jump/wanted-jumps.ts';
