export {
  addressOf,
  checked,
  failure,
  lastErrno,
  type Libc,
  libc,
  type Pointer,
  SYSTEM_CALL,
  systemCallError,
  UnsupportedSystemError,
  viewOf,
} from './bindings.ts';
export { CLOCK_ID, clockTime, MONOTONIC_EPOCH_NS, monotonicNow } from './clock.ts';
export {
  closeDescriptor,
  O,
  openDescriptor,
  readDescriptor,
  readDescriptorAt,
  setNonBlocking,
  writeDescriptor,
} from './descriptor.ts';
export { EventFd } from './event-fd.ts';
export { type HostLoop, NodeLoop } from './reactor/node-loop.ts';
export { type Cancellable, type InlineSource, MAX_DEFERRED, Reactor } from './reactor/reactor.ts';
export { MAX_TIMERS } from './reactor/timers.ts';
export * from './tasks/index.ts';
