export { AttachedProvider, addEvents, emptyRules, type WrittenId } from './attached-provider.ts';
export type { FormatEvent } from './declared-events.ts';
export { EventRates, type EventRate, type RatesReport } from './event-rates.ts';
export { LaneCopy, type LaneCopyParts, type PageSink } from './lane-copy.ts';
export { type LiveEvent, LiveEvents, type LiveEventsOptions } from './live-events.ts';
export { dumpLanes, hasEvents, type LaneDump } from './lane-dump.ts';
export { type ProbedProcess, ProbeProvider } from './probe-provider.ts';
export { ProbeProviders } from './probe-providers.ts';
export { type ProviderAccess, ProviderFile } from './provider-file.ts';
export type { ProviderHeader } from './provider-header.ts';
export {
  eventsOf,
  findProcesses,
  type FoundProcesses,
  type ProcessEvent,
  type ProviderProcess,
} from './provider-processes.ts';
export { listProviders, OWN_SURROUNDINGS, type ProviderPlace, ProviderSearch } from './provider-search.ts';
export {
  type EventChoice,
  heldTooLong,
  ProviderSession,
  purgeSessions,
  type SessionRequest,
  switchStanding,
} from './provider-session.ts';
export { type LaneFollower, ProviderSet, type ProviderSetParts } from './provider-set.ts';
export { type EventLane, Recording, type RecordingOptions, type RecordingTotals } from './recording.ts';
export { recordingFiles } from './recording-files.ts';
export { announceServer } from './server-announcement.ts';
export { isTracerAlive, isWanted, readSessions, type SessionSlot } from './session-slots.ts';
