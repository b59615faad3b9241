export {
  Action,
  ALL_EVENTS,
  type Disposition,
  Event,
  SignalAction,
  SystemCallAction,
  type Verdict,
} from './actions.ts';
export {
  type Attachment,
  type Birth,
  type Callbacks,
  Engine,
  type Progress,
  type SignalReport,
} from './engine.ts';
export type { Examination } from './examination.ts';
export { openUtrace } from './open.ts';
export type { Clock, Deferred, PtracePort } from './port.ts';
export { ProcessEngine, type ProcessOptions } from './process-engine.ts';
export type { Task, TaskState } from './task.ts';
export { type Target, Utrace, type UtraceOptions } from './utrace.ts';
