export { AssertionError, assert, unreachable } from './assert.ts';
export { isInTime } from './deadline.ts';
export { ERRNO, ErrnoError, errnoName, type ErrnoName, isErrnoName } from './errno.ts';
export { type EventMatcher, eventMatcher, globMatcher, PatternError } from './event-pattern.ts';
export { Address, Cpu, Nanoseconds, Pid, Tid, Uid, type Unit } from './units.ts';
