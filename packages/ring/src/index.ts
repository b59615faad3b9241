export { ClockText } from './clock-text.ts';
export type { CpuCounts } from './cpu-buffer.ts';
export { BATCH_PAGES, type LanePage, LaneReader } from './lane/lane-reader.ts';
export type { LaneState, ReadLane } from './lane/lane-table.ts';
export {
  DISCARDED,
  LANE_COMMIT_WORD,
  LANE_RECORD_WORDS_MAX,
  LANE_RECORDS_WORD,
  type LaneOwner,
  LaneWriter,
} from './lane/lane-writer.ts';
export { PageBuilder } from './lane/page-rewrite.ts';
export {
  countRecords,
  lengthWithoutLast,
  type PageScan,
  type RecordTaker,
  RecordRules,
  renameRecords,
  scanPage,
  takeWanted,
} from './lane/page-scan.ts';
export {
  RingBuffer,
  SUB_BUFFERS_MIN,
  kibOfSubBuffers,
  subBuffersForKib,
  type RingBufferSettings,
} from './ring-buffer.ts';
export { SavedCommands } from './saved-commands.ts';
export type { Snapshot } from './snapshot.ts';
export { statsText } from './stats-text.ts';
export { traceHeaderText, type TraceHeader } from './trace-header.ts';
export type { TraceRecord } from './trace-record.ts';
export {
  TraceText,
  type TraceOptions,
  type TraceReading,
  type TraceSources,
} from './trace-text.ts';
