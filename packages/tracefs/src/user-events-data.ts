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
  type UnreadableText,
} from '@usertrace/abi';
import { Address, type ErrnoName } from '@usertrace/base';
import type { AddressSpaceHandle, RemoteMemory, WriteCall } from '@usertrace/linux';
import type { Requester, UserEventFile, UserEvents } from '@usertrace/user-events';
import type { Caller, FileNode, OpenFile, Reply } from './node.ts';
import { completeWrite } from './torn-write.ts';
import type { UserShares } from './user-shares.ts';

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
  /** What the thread is writing; undefined when that cannot be known. */
  writeCallOf(caller: Caller): WriteCall | undefined;
  /** Makes sure of the tasks that are still there: for answers that depend on who has ended. */
  sweep(): void;
}

/** The remote memory that arguments are read from. */
export type CallerMemory = Pick<RemoteMemory, 'open' | 'close' | 'read' | 'writeBytes'>;

/** What the open files have in common. */
interface Surroundings {
  readonly memory: CallerMemory;
  readonly callers: CallerPort;
  /**
   * The ioctls under way: each holds its caller's memory open. Who has no share left gets ENOMEM, which is what the
   * kernel says when it has nothing left to serve one with; EAGAIN no program expects.
   */
  readonly underWay: UserShares;
}

/** Makes the node of user_events_data. */
export function userEventsDataNode(domain: UserEvents, surroundings: Surroundings): FileNode {
  return {
    kind: 'file',
    mode: 0o640,
    access: 'stream',
    open: (caller) => {
      const file = domain.openFile(caller.uid);
      return typeof file === 'string' ? file : new UserEventsDataFile(file, surroundings);
    },
  };
}

class UserEventsDataFile implements OpenFile {
  readonly #file: UserEventFile;
  readonly #surroundings: Surroundings;
  #isReleased = false;

  constructor(file: UserEventFile, surroundings: Surroundings) {
    this.#file = file;
    this.#surroundings = surroundings;
  }

  write(caller: Caller, _offset: number, bytes: Uint8Array, reply: Reply<number>): void {
    const outcome = this.#file.write(caller.tid, bytes);
    if (typeof outcome === 'number') reply.done(outcome);
    // What is too short, or points beyond its end, may be the beginning of more.
    else if (outcome === 'EINVAL' || outcome === 'EFAULT')
      this.#writeWhole(caller, bytes.slice(), outcome, reply);
    else reply.fail(outcome);
  }

  /**
   * Writes the event of which only a part came, if it is one. Answers for that part; of what follows, the session answers
   * for itself. A part that is an event of its own, because only bytes behind its fields are missing, was taken for that.
   */
  #writeWhole(caller: Caller, begun: Uint8Array, refusal: ErrnoName, reply: Reply<number>): void {
    const { memory, callers, underWay } = this.#surroundings;
    if (!underWay.take(caller.uid)) return reply.fail(refusal);
    const handle = memory.open(caller.tid, caller.uid);
    const end = (outcome: number | ErrnoName): void => {
      if (handle !== undefined) memory.close(handle);
      underWay.giveBack(caller.uid);
      if (typeof outcome === 'number') reply.done(begun.length);
      else reply.fail(outcome);
    };
    // Looked at behind the opening: so it is the memory of whoever waits in that call.
    const call = handle === undefined ? undefined : callers.writeCallOf(caller);
    if (handle === undefined || call === undefined) return end(refusal);
    completeWrite({ memory, handle }, call, begun, (whole) => {
      if (typeof whole === 'string') return end(whole);
      end(whole === undefined || this.#isReleased ? refusal : this.#file.write(caller.tid, whole));
    });
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
    const { memory, callers, underWay } = this.#surroundings;
    if (!underWay.take(caller.uid)) return reply.fail('ENOMEM');
    const ended = (): void => underWay.giveBack(caller.uid);
    const handle = memory.open(caller.tid, caller.uid);
    if (handle === undefined) {
      ended();
      return reply.fail('EFAULT');
    }
    const isReleased = (): boolean => this.#isReleased;
    const call = new IoctlCall({
      memory,
      handle,
      argument: Address(argument),
      input,
      reply,
      isReleased,
      ended,
    });
    if (!callers.isInIoctl(caller, command, argument)) return call.fail('EFAULT');
    if (command === DIAG_IOCSREG) this.#register(call, caller);
    else if (command === DIAG_IOCSDEL) this.#delete(call, caller);
    else this.#unregister(call, caller);
  }

  /** A server that stops does it while ioctls are under way: what those read is of no use then. */
  release(): void {
    this.#isReleased = true;
    this.#file.release();
  }

  #register(call: IoctlCall, caller: Caller): void {
    call.readStruct(USER_REG_SIZE, (bytes) => {
      const request = decodeUserReg(bytes);
      if (typeof request === 'string') return call.fail(request);
      call.readText(request.nameAddress, (command) => {
        const requester = this.#surroundings.callers.identify(caller);
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
      let answer = this.#deleteNow(caller, name);
      if (answer === 'EBUSY') {
        // Whoever uses it may have ended without anybody noticing.
        this.#surroundings.callers.sweep();
        answer = this.#deleteNow(caller, name);
      }
      if (answer === 'ok') call.succeed();
      else call.fail(answer);
    });
  }

  #deleteNow(caller: Caller, name: string | UnreadableText): 'ok' | ErrnoName {
    const requester = this.#surroundings.callers.identify(caller);
    return requester === undefined ? 'EFAULT' : this.#file.delete(requester, name);
  }

  #unregister(call: IoctlCall, caller: Caller): void {
    call.readStruct(USER_UNREG_SIZE, (bytes) => {
      const request = decodeUserUnreg(bytes);
      if (typeof request === 'string') return call.fail(request);
      const requester = this.#surroundings.callers.identify(caller);
      if (requester === undefined) return call.fail('EFAULT');
      this.#file.unregister(requester, request, (answer) => {
        if (answer === 'ok') call.succeed();
        else call.fail(answer);
      });
    });
  }
}

/** What an ioctl under way consists of. */
interface IoctlParts {
  readonly memory: CallerMemory;
  readonly handle: AddressSpaceHandle;
  readonly argument: Address;
  readonly input: Uint8Array;
  readonly reply: Reply<Uint8Array>;
  /** Whether its file was released: nothing is done for it any more. */
  isReleased(): boolean;
  /** Is called once, when it is under way no more. */
  ended(): void;
}

/** One ioctl under way: owns the handle on the caller's memory until it is answered. */
class IoctlCall {
  readonly argument: Address;
  readonly #parts: IoctlParts;

  constructor(parts: IoctlParts) {
    this.argument = parts.argument;
    this.#parts = parts;
  }

  /** Reads the argument's structure, as long as it says it is but no longer than could be taken. */
  readStruct(knownSize: number, then: (bytes: Uint8Array) => void): void {
    const { memory, handle, input } = this.#parts;
    const size = declaredSize(input);
    if (size > USER_STRUCT_SIZE_MAX) return this.fail('E2BIG');
    if (size < knownSize) return this.fail('EINVAL');
    memory.read(handle, this.argument, size, (bytes) => {
      if (typeof bytes === 'string' || this.#parts.isReleased()) this.fail('EFAULT');
      else then(bytes);
    });
  }

  /** Reads a string that ends with NUL; what cannot be read is passed on as the error that it is. */
  readText(address: Address, then: (text: ReturnType<typeof commandFromBytes>) => void): void {
    const { memory, handle } = this.#parts;
    memory.read(handle, address, COMMAND_SIZE_MAX, (bytes) => {
      if (this.#parts.isReleased()) this.fail('EFAULT');
      else then(typeof bytes === 'string' ? { errno: 'EFAULT' } : commandFromBytes(bytes));
    });
  }

  /** Stores the index in the caller's structure, then answers. A store that fails changes nothing, as in the kernel. */
  succeedWithIndex(writeIndex: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, writeIndex, true);
    const address = Address(this.argument + BigInt(USER_REG_WRITE_INDEX_OFFSET));
    if (this.#parts.isReleased()) return this.fail('EFAULT');
    const { memory, handle } = this.#parts;
    memory.writeBytes(handle, address, bytes, () => this.succeed());
  }

  /** Answers 0. The kernel copies back the bytes that it brought, so they stay as they are. */
  succeed(): void {
    this.#end();
    this.#parts.reply.done(this.#parts.input);
  }

  fail(code: ErrnoName): void {
    this.#end();
    this.#parts.reply.fail(code);
  }

  #end(): void {
    this.#parts.memory.close(this.#parts.handle);
    this.#parts.ended();
  }
}
