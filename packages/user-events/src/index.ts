export type { WordState } from './enabler.ts';
export type { UserEvent } from './event.ts';
export type { RegisterAnswer, UserEventFile } from './file.ts';
export { type Limits } from './limits.ts';
export type {
  DeferredWork,
  EventTracer,
  MemoryHandle,
  MemoryPort,
  Observers,
  Requester,
  StoreOutcome,
} from './ports.ts';
export { type UnsettledWord, UserEvents } from './user-events.ts';
