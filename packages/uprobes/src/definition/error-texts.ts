/**
 * What the kernel says about a bad definition in `error_log`, by the rule that was broken, and the errno that the
 * write answers. The texts are those of a real kernel (6.18); see `kernel-answers.jsonl`.
 */

/** An errno that a definition can be refused with. */
export type RefusalErrno =
  | 'EINVAL'
  | 'ERANGE'
  | 'E2BIG'
  | 'EEXIST'
  | 'ENOENT'
  | 'ENOTDIR'
  | 'EACCES'
  | 'EOPNOTSUPP';

/** By the rule's name: its text, and the errno if that is not EINVAL. */
export const REFUSALS = {
  fileNotFound: { text: 'Failed to find the given file', errno: 'ENOENT' },
  notRegularFile: { text: 'Not a regular file' },
  counterOffset: { text: 'Invalid reference counter offset' },
  counterOpen: { text: 'Reference counter brace is not closed' },
  counterSuffix: { text: 'Reference counter has wrong suffix' },
  placeSuffix: { text: 'Invalid probed address suffix' },
  offset: { text: 'Invalid uprobe offset' },
  noGroup: { text: 'Group name is not specified' },
  groupTooLong: { text: 'Group name is too long' },
  badGroup: { text: 'Group name must follow the same rules as C identifiers' },
  noEvent: { text: 'Event name is not specified' },
  eventTooLong: { text: 'Event name is too long' },
  badEvent: { text: 'Event name must follow the same rules as C identifiers' },
  eventExists: { text: 'Given group/event name is already used by another event', errno: 'EEXIST' },
  differentKind: { text: 'Probe type is different from existing probe', errno: 'EEXIST' },
  differentArgument: { text: 'Argument type or name is different from existing probe', errno: 'EEXIST' },
  sameProbe: { text: 'There is already the exact same probe event', errno: 'EEXIST' },
  tooManyArguments: { text: 'Too many arguments are specified', errno: 'E2BIG' },
  argumentNameTooLong: { text: 'Argument name is too long' },
  noArgumentName: { text: 'Argument name is not specified' },
  badArgumentName: { text: 'Argument name must follow the same rules as C identifiers' },
  usedArgumentName: { text: 'This argument name is already used' },
  argumentTooLong: { text: 'Argument expression is too long', errno: 'E2BIG' },
  noArgumentBody: { text: 'No argument expression' },
  arrayOpen: { text: 'Array is not closed' },
  arraySuffix: { text: 'Array has wrong suffix' },
  arraySize: { text: 'Invalid array size' },
  arrayTooBig: { text: 'Array number is too big' },
  unknownType: { text: 'Unknown type is specified' },
  stringOnly: { text: '$comm and immediate-string only accepts string type' },
  memoryOnly: { text: 'String accepts only memory argument' },
  bitField: { text: 'Invalid bitfield' },
  returnValueOnProbe: { text: '$retval is not available on probe' },
  argumentNumber: { text: 'Invalid argument number' },
  argumentsOnlyAtEntry: { text: '$arg* can be used only on function entry or exit' },
  variable: { text: 'Invalid $-variable specified' },
  register: { text: 'Invalid register name' },
  memoryAddress: { text: 'Invalid memory address' },
  symbolAddress: { text: 'Symbol is not available with uprobe' },
  fileOffset: { text: 'Invalid file offset value' },
  immediate: { text: 'Invalid immediate value' },
  stringOpen: { text: "String is not closed with '\"'" },
  tooManyDereferences: { text: 'Dereference is too much nested' },
  dereferenceBrace: { text: 'Dereference needs a brace' },
  dereferenceOffset: { text: 'Invalid dereference offset' },
  dereferenceOpen: { text: 'Dereference brace is not closed' },
  nameDereferenced: { text: '$comm can not be dereferenced' },
  noTypeInformation: { text: 'BTF is not available or not supported' },
  fetchArgument: { text: 'Invalid fetch argument' },
  /** Ours: the kernel takes no function names. */
  unknownSymbol: { text: 'Failed to find the given function', errno: 'ENOENT' },
} as const;

/** The name of a rule. */
export type RefusalName = keyof typeof REFUSALS;
