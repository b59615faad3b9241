export type { LaunchOptions } from './launch.ts';
export { nameTracer } from './name-tracer.ts';
export type { ProcessHandle } from './process-handle.ts';
export { bytesOf, environmentValue, type ProgramEnvironment, type ProgramText } from './program-text.ts';
export type { RemoteAnswer } from './remote-call.ts';
export { StartedProgram } from './started-program.ts';
export type { StopListener } from './stop-waiter.ts';
export { type TraceeStatus, traceeStatus, yamaScope } from './tracee-status.ts';
export { SystemTracer } from './tracer.ts';
