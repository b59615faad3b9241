export {
  decodeEventTable,
  encodeEventEntry,
  EVENT_COMMAND_MAX,
  type ProviderEvent,
} from './event-entry.ts';
export * from './layout.ts';
