export { addressOf, checked, libc, UnsupportedSystemError, viewOf } from './bindings.ts';
export { clockTime, MONOTONIC_EPOCH_NS, monotonicNow } from './clock.ts';
export {
  closeDescriptor,
  descriptorLimit,
  ioctlDescriptor,
  readDescriptor,
  writeDescriptor,
} from './descriptor.ts';
export type { Libc, Pointer } from './libc-functions.ts';
export { AddressSpace as AddressSpaceHandle } from './memory/address-space.ts';
export { type AccessFailure, RemoteMemory } from './memory/remote-memory.ts';
export { type FuseMount, type FuseMountOptions, isInUserNamespace, mountFuse } from './mount/fuse-mount.ts';
export { MountError } from './mount/mount-error.ts';
export { answersAt } from './mount/silent-mount.ts';
export { type PeerCredentials, peerCredentials } from './peer-credentials.ts';
export * from './providers/index.ts';
export * from './ptrace/index.ts';
export type { HostLoop } from './reactor/node-loop.ts';
export { type Cancellable, type InlineSource, Reactor } from './reactor/reactor.ts';
export { MAX_TIMERS } from './reactor/timers.ts';
export * from './tasks/index.ts';
export { type CounterReading, readCounter } from './time-stamp-counter.ts';
