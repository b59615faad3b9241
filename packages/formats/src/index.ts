export {
  type FileCalls,
  type FileTree,
  nodeFiles,
  type ReadableFile,
  type WritableFile,
} from './file-port.ts';
export { finishRecording, type FinishOptions, type FinishResult } from './recording/finish-recording.ts';
export type { RecordingLane } from './recording/lane-regions.ts';
export { RecordingFile, type RecordingSettings } from './recording/recording-file.ts';
export { EntryView } from './report/entry-view.ts';
export type { EventFilter } from './report/event-filter.ts';
export { type EventFormat, type FormatField, parseEventFormat } from './report/event-format.ts';
export { eventPrinter, type EventPrinter } from './report/event-printer.ts';
export { probePrinter } from './report/probe-printer.ts';
export { type ReportedEvent, reportedEvents } from './report/report-events.ts';
export { type JsonEvent, type JsonFieldValue, reportJson } from './report/report-json.ts';
export { reportText } from './report/report-text.ts';
export type { EventFormatText, LanePlace, TraceDescription } from './trace-dat/description.ts';
export type { LostCount } from './trace-dat/lane-events.ts';
export { TraceDatError } from './trace-dat/trace-dat-error.ts';
export { TraceDatFile } from './trace-dat/trace-dat-file.ts';
export {
  type CopyProgress,
  type LaneSource,
  traceDatSize,
  writeTraceDat,
} from './trace-dat/write-trace-dat.ts';
