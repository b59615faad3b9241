export { ClockText } from './clock-text.ts';
export type { CpuCounts } from './cpu-buffer.ts';
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
