import { DIAG_IOCSDEL, DIAG_IOCSREG, USER_REG_SIZE } from '@usertrace/abi';
import { assert, Tid, Uid } from '@usertrace/base';
import type { AddressSpaceHandle, WriteCall } from '@usertrace/linux';
import { UserEvents } from '@usertrace/user-events';
import { expect, test } from 'vitest';
import type { Caller, OpenFile } from './node.ts';
import { Answer } from './tree/tree-world.sim.ts';
import { userEventsDataNode } from './user-events-data.ts';
import { UserShares } from './user-shares.ts';

const OWNER = Uid(0);
const NAME_ADDRESS = 0x9000;
const REG_ADDRESS = 0x2000;
const IOCTLS = 8;

/** A user_events_data over memory whose accesses end when the test says so. */
class World {
  readonly domain: UserEvents;
  readonly underWay: UserShares = new UserShares(IOCTLS, OWNER);
  readonly file: OpenFile;
  /** What programs have at the address of a command. */
  command = 'ev u32 a';
  openHandles = 0;
  /** The call that the program waits in. */
  writeCall: WriteCall | undefined;
  /** What the program has elsewhere in its memory, by address; only whole entries are read. */
  readonly stored: Map<number, Uint8Array> = new Map();
  sweeps = 0;
  /** What a sweep finds out. */
  swept: () => void = () => undefined;
  #work: (() => void)[] = [];

  constructor() {
    const later = (work: () => void): void => void this.#work.push(work);
    this.domain = new UserEvents({
      deferred: { defer: later, after: () => ({ cancel: () => undefined }) },
      memory: {
        open: () => ({}),
        close: () => undefined,
        isAlive: () => true,
        storeBit: (_handle, _address, _bit, _set, completed) => later(() => completed('stored')),
      },
    });
    const node = userEventsDataNode(this.domain, {
      memory: {
        open: () => {
          this.openHandles++;
          return {} as AddressSpaceHandle;
        },
        close: () => void this.openHandles--,
        read: (_space, address, length, done) => later(() => done(this.#read(Number(address), length))),
        writeBytes: (_space, _address, _bytes, done) => later(() => done('stored')),
      },
      callers: {
        isInIoctl: () => true,
        writeCallOf: () => this.writeCall,
        identify: ({ tid, uid }) => ({ tid, uid, perfmonCapable: () => true }),
        sweep: () => {
          this.sweeps++;
          this.swept();
        },
      },
      underWay: this.underWay,
    });
    const file = node.open(caller(OWNER), {
      readable: true,
      writable: true,
      nonBlocking: false,
      append: false,
      truncate: false,
    });
    assert(typeof file !== 'string', 'the file opens');
    this.file = file;
  }

  ioctl(command: number, argument: number, uid: Uid = OWNER): Answer<Uint8Array> {
    const answer = new Answer<Uint8Array>();
    const size = new Uint8Array(8);
    new DataView(size.buffer).setUint32(0, USER_REG_SIZE, true);
    this.file.ioctl?.(caller(uid), command, BigInt(argument), size, answer);
    return answer;
  }

  /** Ends the accesses that are under way, and those that follow from them. */
  settle(): void {
    while (this.#work.length > 0) this.settleOne();
  }

  settleOne(): void {
    this.#work.shift()?.();
  }

  get isIdle(): boolean {
    return this.#work.length === 0;
  }

  /** A request to write: what has come of it. */
  write(begun: Uint8Array): Answer<number> {
    const answer = new Answer<number>();
    this.file.write?.(caller(OWNER), 0, begun, answer);
    this.settle();
    return answer;
  }

  #read(address: number, length: number): Uint8Array | 'faulted' {
    if (address === NAME_ADDRESS) return Buffer.from(`${this.command}\0`);
    if (address === REG_ADDRESS) return userReg();
    return this.stored.get(address)?.subarray(0, length) ?? 'faulted';
  }
}

function caller(uid: Uid): Caller {
  return { tid: Tid(42), uid, gid: 0 };
}

function userReg(): Uint8Array {
  const bytes = new Uint8Array(USER_REG_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, USER_REG_SIZE, true);
  view.setUint8(5, 4);
  view.setBigUint64(8, 0x1000n, true);
  view.setBigUint64(16, BigInt(NAME_ADDRESS), true);
  return bytes;
}

/** How many ioctls a user can have under way. */
function begunBy(world: World, uid: Uid): { begun: number; refusal: unknown } {
  for (let begun = 0; ; begun++) {
    const { value } = world.ioctl(DIAG_IOCSREG, 0x2000, uid);
    if (value !== undefined) return { begun, refusal: value };
  }
}

test('users other than the owner have a share of the ioctls under way, and get it back', () => {
  const world = new World();
  const strangers = [1, 2, 3, 4].map((uid) => begunBy(world, Uid(uid)));
  expect(strangers).toEqual([2, 2, 2, 0].map((begun) => ({ begun, refusal: 'ENOMEM' })));
  expect(begunBy(world, OWNER)).toEqual({ begun: 2, refusal: 'ENOMEM' });
  expect(world.openHandles).toBe(IOCTLS);
  world.settle();
  expect(world.openHandles).toBe(0);
  expect(begunBy(world, OWNER)).toEqual({ begun: IOCTLS, refusal: 'ENOMEM' });
});

test('an ioctl under way when its file is released does nothing more, and lets go of the memory', () => {
  // After each access that a REG waits for, and after each that a DEL waits for.
  for (const [command, argument] of [
    [DIAG_IOCSREG, 0x2000],
    [DIAG_IOCSDEL, NAME_ADDRESS],
  ] as const) {
    for (let accesses = 0; ; accesses++) {
      const world = new World();
      const { value } = world.ioctl(DIAG_IOCSREG, 0x2000);
      expect(value).toBeUndefined();
      if (command === DIAG_IOCSDEL) {
        world.settle();
        world.ioctl(command, argument);
      }
      for (let count = 0; count < accesses; count++) world.settleOne();
      const isOver = world.isIdle;
      world.file.release();
      world.settle();
      expect(world.openHandles).toBe(0);
      if (isOver) break;
    }
  }
});

test('DEL looks for tasks that have ended only when the event is in use', () => {
  const world = new World();
  world.ioctl(DIAG_IOCSREG, 0x2000);
  world.settle();
  const remove = (): unknown => {
    const answer = world.ioctl(DIAG_IOCSDEL, NAME_ADDRESS);
    world.settle();
    return answer.value;
  };
  world.command = 'absent';
  expect(remove()).toBe('ENOENT');
  expect(world.sweeps).toBe(0);
  world.command = 'ev';
  expect(remove()).toBe('EBUSY');
  expect(world.sweeps).toBe(1);
});

/** Bytes of numbers, 4 each. */
function words(...numbers: number[]): Uint8Array {
  return new Uint8Array(new Uint32Array(numbers).buffer);
}

/** Bytes of iovecs. */
function vectors(...pairs: (readonly [address: number, size: number])[]): Uint8Array {
  return new Uint8Array(new BigUint64Array(pairs.flat().map(BigInt)).buffer);
}

/** A world with an event that is on, and what is written of it. */
function listening(): { world: World; written: Uint8Array[] } {
  const world = new World();
  world.command = 'ev u32 a; u32 b';
  world.ioctl(DIAG_IOCSREG, REG_ADDRESS);
  world.settle();
  const written: Uint8Array[] = [];
  const [event] = world.domain.events;
  assert(event !== undefined, 'the event is registered');
  event.attach({
    accepts: () => true,
    record: (_event, _tid, payload) => void written.push(payload.slice()),
  });
  world.settle();
  return { world, written };
}

test('a write that a page cut, which was not in memory, is fetched and is one event', () => {
  const { world, written } = listening();
  world.writeCall = { address: 0x5000n, size: 0, vectorCount: 3 };
  world.stored.set(0x5000, vectors([0x6000, 4], [0x6100, 4], [0x6200, 4]));
  world.stored.set(0x6200, words(8));
  expect(world.write(words(0, 7)).value).toBe(8);
  world.writeCall = { address: 0x7000n, size: 12, vectorCount: undefined };
  world.stored.set(0x7006, words(9, 10).subarray(2));
  expect(world.write(words(0, 9).subarray(0, 6)).value).toBe(6);
  expect(written).toEqual([words(7, 8), words(9, 10)]);
  expect(world.openHandles).toBe(0);
});

test('a write that is all there, or whose rest cannot be read, is answered with what is wrong with it', () => {
  const { world, written } = listening();
  world.writeCall = { address: 0x7000n, size: 8, vectorCount: undefined };
  expect(world.write(words(0, 7)).value).toBe('EINVAL');
  world.writeCall = { address: 0x7000n, size: 12, vectorCount: undefined };
  expect(world.write(words(0, 7)).value).toBe('EFAULT');
  world.writeCall = { address: 0x5000n, size: 0, vectorCount: 2 };
  expect(world.write(words(0, 7)).value).toBe('EFAULT');
  world.writeCall = undefined;
  expect(world.write(words(0, 7)).value).toBe('EINVAL');
  expect(written).toEqual([]);
  expect(world.openHandles).toBe(0);
});
