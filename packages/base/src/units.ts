/**
 * Numbers that must not be swapped: each has its own type, made by the function of the same name.
 * They are plain numbers at run time.
 */

declare const unit: unique symbol;

/** A number that counts or names one thing only. */
export type Unit<Base, Name extends string> = Base & { readonly [unit]: Name };

/**
 * Nanoseconds since the epoch of the clock at hand. An epoch is chosen when the program starts, so that a
 * double holds every instant of the next 104 days to the nanosecond.
 */
export type Nanoseconds = Unit<number, 'Nanoseconds'>;
/** An address in some process's memory. */
export type Address = Unit<bigint, 'Address'>;
/** A thread id (gettid(2)); a process id is the thread id of its leader. */
export type Tid = Unit<number, 'Tid'>;
/** A process id (getpid(2)), the thread group's id. */
export type Pid = Unit<number, 'Pid'>;
/** A user id. */
export type Uid = Unit<number, 'Uid'>;
/** A CPU's number, from 0. */
export type Cpu = Unit<number, 'Cpu'>;

export const Nanoseconds = (value: number): Nanoseconds => value as Nanoseconds;
export const Address = (value: bigint): Address => value as Address;
export const Tid = (value: number): Tid => value as Tid;
export const Pid = (value: number): Pid => value as Pid;
export const Uid = (value: number): Uid => value as Uid;
export const Cpu = (value: number): Cpu => value as Cpu;
