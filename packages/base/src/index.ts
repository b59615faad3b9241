export { AssertionError, assert, unreachable } from './assert.ts';
export { ERRNO, ErrnoError, errnoName, type ErrnoName } from './errno.ts';
export { Address, Cpu, Nanoseconds, Pid, Tid, Uid, type Unit } from './units.ts';
