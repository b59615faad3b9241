export {
  decodeEventTable,
  encodeEventEntry,
  EVENT_COMMAND_MAX,
  EVENT_FORMAT_MAX,
  type EventEntryKind,
  eventIdentity,
  PROVIDER_SYSTEM,
  type ProviderEvent,
  providerEventFormat,
} from './event-entry.ts';
export * from './layout.ts';
