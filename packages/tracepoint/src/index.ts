export type { AnyField, ArgumentsOf, FieldList, Fields, FieldsByName } from './arguments.ts';
export {
  byteArray,
  bytes,
  char,
  chars,
  dataLoc,
  f64,
  type FieldType,
  int,
  relLoc,
  s16,
  s32,
  s64,
  s8,
  short,
  str,
  struct,
  u16,
  u32,
  u64,
  u8,
  uchar,
  uint,
  ushort,
} from './field-type.ts';
export type { Settings } from './settings.ts';
export { configure, disable, enable, type Tracepoint, tracepoint, unavailable } from './tracepoint.ts';
