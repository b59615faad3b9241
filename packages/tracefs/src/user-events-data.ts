/**
 * The file user_events_data: programs register, delete and unregister events by ioctl(2) on it, and write events
 * to it by write(2) and writev(2).
 *
 * An ioctl carries the calling thread and its argument, an address. What lies there is read out of the thread's
 * memory through a handle that pins its address space, by an executor off the serving thread, so a page that never
 * comes in delays nobody but its own program:
 *
 *     open the caller's memory -> make sure the caller still sits in this ioctl -> read the structure
 *       -> read the command's text -> ask the domain -> write `write_index` -> reply
 *
 * The caller is found for each request: a descriptor that was inherited or passed on acts for whoever uses it.
 * Source: Documentation/trace/user_events.rst, include/uapi/linux/user_events.h.
 */

import {
  COMMAND_SIZE_MAX,
  commandFromBytes,
  DIAG_IOCSDEL,
  DIAG_IOCSREG,
  DIAG_IOCSUNREG,
  declaredSize,
  decodeUserReg,
  decodeUserUnreg,
  USER_REG_SIZE,
  USER_REG_WRITE_INDEX_OFFSET,
  USER_STRUCT_SIZE_MAX,
  USER_UNREG_SIZE,
} from '@usertrace/abi';
import { Address, type ErrnoName } from '@usertrace/base';
import type { AddressSpaceHandle, RemoteMemory } from '@usertrace/linux';
import type { Requester, UserEventFile, UserEvents } from '@usertrace/user-events';
import type { Caller, FileNode, OpenFile, Reply } from './node.ts';

/** What the file needs to know of its callers. */
export interface CallerPort {
  /** Whether the thread sits in ioctl(2) with this command and argument, so that its id was not reused meanwhile. */
  isInIoctl(caller: Caller, command: number, argument: bigint): boolean;
  /**
   * Who the caller is now, after everything that happened to tasks before. The domain is asked at once after it.
   *
   * @returns undefined when the caller is gone
   */
  identify(caller: Caller): Requester | undefined;
  /** Makes sure of the tasks that are still there: for answers that depend on who has ended. */
  sweep(): void;
}

/** The remote memory that arguments are read from. */
export type CallerMemory = Pick<RemoteMemory, 'open' | 'close' | 'read' | 'writeBytes'>;

/** Makes the node of user_events_data. */
export function userEventsDataNode(domain: UserEvents, memory: CallerMemory, callers: CallerPort): FileNode {
  return {
    kind: 'file',
    mode: 0o640,
    access: 'stream',
    open: (caller) => {
      const file = domain.openFile(caller.uid);
      return typeof file === 'string' ? file : new UserEventsDataFile(file, memory, callers);
    },
  };
}

class UserEventsDataFile implements OpenFile {
  readonly #file: UserEventFile;
  readonly #memory: CallerMemory;
  readonly #callers: CallerPort;

  constructor(file: UserEventFile, memory: CallerMemory, callers: CallerPort) {
    this.#file = file;
    this.#memory = memory;
    this.#callers = callers;
  }

  write(caller: Caller, _offset: number, bytes: Uint8Array, reply: Reply<number>): void {
    const outcome = this.#file.write(caller.tid, bytes);
    if (typeof outcome === 'number') reply.done(outcome);
    else reply.fail(outcome);
  }

  ioctl(
    caller: Caller,
    command: number,
    argument: bigint,
    input: Uint8Array,
    reply: Reply<Uint8Array>,
  ): void {
    if (command !== DIAG_IOCSREG && command !== DIAG_IOCSDEL && command !== DIAG_IOCSUNREG) {
      return reply.fail('ENOTTY');
    }
    const handle = this.#memory.open(caller.tid);
    if (handle === undefined) return reply.fail('EFAULT');
    const call = new IoctlCall(this.#memory, handle, Address(argument), input, reply);
    if (!this.#callers.isInIoctl(caller, command, argument)) return call.fail('EFAULT');
    if (command === DIAG_IOCSREG) this.#register(call, caller);
    else if (command === DIAG_IOCSDEL) this.#delete(call, caller);
    else this.#unregister(call, caller);
  }

  release(): void {
    this.#file.release();
  }

  #register(call: IoctlCall, caller: Caller): void {
    call.readStruct(USER_REG_SIZE, (bytes) => {
      const request = decodeUserReg(bytes);
      if (typeof request === 'string') return call.fail(request);
      call.readText(request.nameAddress, (command) => {
        const requester = this.#callers.identify(caller);
        if (requester === undefined) return call.fail('EFAULT');
        this.#file.register(requester, request, command, (answer) => {
          if (typeof answer === 'string') call.fail(answer);
          else call.succeedWithIndex(answer.writeIndex);
        });
      });
    });
  }

  #delete(call: IoctlCall, caller: Caller): void {
    call.readText(call.argument, (name) => {
      this.#callers.sweep();
      const requester = this.#callers.identify(caller);
      if (requester === undefined) return call.fail('EFAULT');
      const answer = this.#file.delete(requester, name);
      if (answer === 'ok') call.succeed();
      else call.fail(answer);
    });
  }

  #unregister(call: IoctlCall, caller: Caller): void {
    call.readStruct(USER_UNREG_SIZE, (bytes) => {
      const request = decodeUserUnreg(bytes);
      if (typeof request === 'string') return call.fail(request);
      const requester = this.#callers.identify(caller);
      if (requester === undefined) return call.fail('EFAULT');
      this.#file.unregister(requester, request, (answer) => {
        if (answer === 'ok') call.succeed();
        else call.fail(answer);
      });
    });
  }
}

/** One ioctl under way: owns the handle on the caller's memory until it is answered. */
class IoctlCall {
  readonly argument: Address;
  readonly #memory: CallerMemory;
  readonly #handle: AddressSpaceHandle;
  readonly #input: Uint8Array;
  readonly #reply: Reply<Uint8Array>;

  constructor(
    memory: CallerMemory,
    handle: AddressSpaceHandle,
    argument: Address,
    input: Uint8Array,
    reply: Reply<Uint8Array>,
  ) {
    this.#memory = memory;
    this.#handle = handle;
    this.argument = argument;
    this.#input = input;
    this.#reply = reply;
  }

  /** Reads the argument's structure, as long as it says it is but no longer than could be taken. */
  readStruct(knownSize: number, then: (bytes: Uint8Array) => void): void {
    const size = declaredSize(this.#input);
    if (size > USER_STRUCT_SIZE_MAX) return this.fail('E2BIG');
    if (size < knownSize) return this.fail('EINVAL');
    this.#memory.read(this.#handle, this.argument, size, (bytes) => {
      if (typeof bytes === 'string') this.fail('EFAULT');
      else then(bytes);
    });
  }

  /** Reads a string that ends with NUL; what cannot be read is passed on as the error that it is. */
  readText(address: Address, then: (text: ReturnType<typeof commandFromBytes>) => void): void {
    this.#memory.read(this.#handle, address, COMMAND_SIZE_MAX, (bytes) => {
      then(typeof bytes === 'string' ? { errno: 'EFAULT' } : commandFromBytes(bytes));
    });
  }

  /** Stores the index in the caller's structure, then answers. A store that fails changes nothing, as in the kernel. */
  succeedWithIndex(writeIndex: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, writeIndex, true);
    const address = Address(this.argument + BigInt(USER_REG_WRITE_INDEX_OFFSET));
    this.#memory.writeBytes(this.#handle, address, bytes, () => this.succeed());
  }

  /** Answers 0. The kernel copies back the bytes that it brought, so they stay as they are. */
  succeed(): void {
    this.#memory.close(this.#handle);
    this.#reply.done(this.#input);
  }

  fail(code: ErrnoName): void {
    this.#memory.close(this.#handle);
    this.#reply.fail(code);
  }
}
