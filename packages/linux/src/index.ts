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
  descriptorLimit,
  O,
  openDescriptor,
  readDescriptor,
  readDescriptorAt,
  setNonBlocking,
  writeDescriptor,
} from './descriptor.ts';
export { EventFd } from './event-fd.ts';
export { AddressSpace as AddressSpaceHandle } from './memory/address-space.ts';
export { type AccessFailure, MAX_WAITING_OPERATIONS, RemoteMemory } from './memory/remote-memory.ts';
export { type FuseMount, type FuseMountOptions, isInUserNamespace, mountFuse } from './mount/fuse-mount.ts';
export { MountError } from './mount/mount-error.ts';
export { type HostLoop, NodeLoop } from './reactor/node-loop.ts';
export { type Cancellable, type InlineSource, MAX_DEFERRED, Reactor } from './reactor/reactor.ts';
export { MAX_TIMERS } from './reactor/timers.ts';
export * from './tasks/index.ts';
