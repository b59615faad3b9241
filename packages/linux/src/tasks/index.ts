export { type CallerVerdict, perfmonCapable, verifyCaller, type WriteCall, writeCallOf } from './caller.ts';
export {
  adoptProcessConnector,
  type ConnectorBatch,
  type ConnectorRefusal,
  openProcessConnector,
  ProcessConnector,
} from './connector.ts';
export type { ProcessEvent } from './connector-messages.ts';
export type { EventSource, TaskPort, TaskSight, TaskSink } from './port.ts';
export { type Absence, readTaskCommand, readTaskFile } from './procfs.ts';
export { type DescriptorWatcher, SystemTasks } from './system-tasks.ts';
export { type TaskIdentity, TaskTracker } from './tracker.ts';
