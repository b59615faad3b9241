export {
  GENERAL_REGISTERS,
  type RegisterName,
  Registers,
} from './registers.ts';
export { PTRACE, PTRACE_OPTION } from './requests.ts';
export { MAX_FILTERED_CALLS, seccompFilter } from './seccomp-filter.ts';
export { SIGNAL_INFORMATION_BYTES, SignalInformation, TRAP_CODE } from './signal-information.ts';
export { type DefaultAction, defaultAction, MAX_SIGNAL, SIGNAL, signalName } from './signals.ts';
export {
  AUDIT_ARCH_X86_64,
  SYSTEM_CALL_INFO_BYTES,
  SYSTEM_CALL_OPERATION,
  SystemCallStop,
} from './system-call-stop.ts';
export { type NameSet, nameSets } from './argument-names.ts';
export { argumentTexts, escapedText, type MemoryReader, readArguments } from './argument-texts.ts';
export {
  type ArgumentKind,
  MAX_SYSTEM_CALL,
  type SystemCall,
  systemCall,
  systemCallByName,
  systemCallName,
  systemCallNumber,
} from './system-calls.ts';
export {
  isStopStatus,
  PTRACE_EVENT,
  stopEvent,
  stopSignal,
  stopStatus,
  SYSTEM_CALL_STOP,
  type TaskEnd,
  taskEnd,
  WAIT_OPTION,
} from './wait-status.ts';
