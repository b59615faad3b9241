export { type EventCommand, parseCommand } from './command.ts';
export {
  type EventField,
  fieldsText,
  fieldWords,
  type FilterType,
  minimumPayload,
  parseFields,
  wordsMatchFields,
} from './fields.ts';
export { formatFileText } from './format-file.ts';
export {
  COMMAND_SIZE_MAX,
  commandFromBytes,
  declaredSize,
  decodeUserReg,
  decodeUserUnreg,
  DIAG_IOCSDEL,
  DIAG_IOCSREG,
  DIAG_IOCSUNREG,
  type UnreadableText,
  USER_REG_SIZE,
  USER_REG_WRITE_INDEX_OFFSET,
  USER_STRUCT_SIZE_MAX,
  USER_UNREG_SIZE,
  type UserReg,
  type UserUnreg,
} from './ioctl.ts';
export { skipSpaces, splitWords } from './kernel-text.ts';
export { printEventFields } from './print-fields.ts';
export { isPayloadValid, type Validator, validatorsOf } from './validators.ts';
