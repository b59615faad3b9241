export {
  COMMON_FIELDS_FORMAT,
  COMMON_FIELDS_SIZE,
  ENTRY_FLAG,
  EVENT_ID_MAX,
  readCommonFields,
  type CommonFields,
} from './entry.ts';
export { HEADER_EVENT_TEXT, HEADER_PAGE_TEXT } from './header-texts.ts';
export {
  PRINT_EVENT_ID,
  PRINT_FORMAT_TEXT,
  PRINT_TEXT_MAX,
  encodePrintPayload,
  printEntryText,
} from './print-entry.ts';
export {
  ENTRY_MAX,
  RecordCursor,
  SMALL_ENTRY_MAX,
  TIME_DELTA_LIMIT,
  TIME_EXTEND_SIZE,
  TYPE_LEN_TIME_EXTEND,
  decodeSubBuffer,
  recordLength,
  type SubBufferRecord,
} from './record.ts';
export {
  SUB_BUFFER_DATA_SIZE,
  SUB_BUFFER_HEADER_SIZE,
  SUB_BUFFER_SIZE,
  readSubBufferHeader,
  sealSubBuffer,
  type SubBufferHeader,
} from './sub-buffer.ts';
