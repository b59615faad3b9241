/**
 * A tree without a system: the real domain and the real tree over memory, time and tasks that a test decides.
 * Deferred work runs when the test says so. Tests use paths as a program would.
 */

import { Address, Cpu, type ErrnoName, type Nanoseconds, Pid, Tid, Uid, assert } from '@usertrace/base';
import { UserEvents, type Requester, type UserEventFile } from '@usertrace/user-events';
import type { Caller, DirectoryNode, FileNode, OpenFile, OpenMode, Reply, TreeNode } from '../node.ts';
import { TraceTree } from './trace-tree.ts';

/** What CLOCK_MONOTONIC showed when the world began: 100 seconds. */
const EPOCH_NS = 100_000_000_000n;

export interface OpenFlags {
  readonly truncate?: boolean;
  readonly nonBlocking?: boolean;
}

/** The answer to one request, which may still be to come. */
export class Answer<Value> implements Reply<Value> {
  /** What was answered; undefined while the request waits. */
  value: Value | ErrnoName | undefined;
  #withdraw: (() => void) | undefined;

  done(value: Value): void {
    this.value ??= value;
  }

  fail(code: ErrnoName): void {
    this.value ??= code;
  }

  onInterrupt(withdraw: () => void): void {
    this.#withdraw = withdraw;
  }

  /** A signal reaches the caller. */
  interrupt(): void {
    this.#withdraw?.();
    this.fail('EINTR');
  }
}

/** An open file as a program has it: with a position. */
export class Descriptor {
  readonly #file: OpenFile;
  readonly #caller: Caller;
  position = 0;

  constructor(file: OpenFile, caller: Caller) {
    this.#file = file;
    this.#caller = caller;
  }

  /** read(2), which may wait. `isNonBlocking` is what fcntl(2) set, if anything. */
  beginRead(size = 65_536, isNonBlocking?: boolean): Answer<Uint8Array> {
    const answer = new Answer<Uint8Array>();
    assert(this.#file.read !== undefined, 'the file can be read');
    this.#file.read(this.#caller, this.position, size, answer, isNonBlocking);
    if (answer.value instanceof Uint8Array) this.position += answer.value.length;
    return answer;
  }

  /** read(2) of a file that answers at once. */
  read(size?: number): string {
    const { value } = this.beginRead(size);
    assert(value !== undefined, 'the read was answered');
    return text(value);
  }

  /** write(2), which may wait. */
  beginWrite(written: string): Answer<number> {
    const answer = new Answer<number>();
    assert(this.#file.write !== undefined, 'the file can be written');
    this.#file.write(this.#caller, this.position, Buffer.from(written, 'latin1'), answer);
    return answer;
  }

  /** Whether poll(2) says that a read would not wait; `ready` is called when something has come. */
  poll(ready: () => void): boolean {
    this.#file.onReadable?.(ready);
    return this.#file.isReadable?.() ?? true;
  }

  close(): void {
    this.#file.release();
  }
}

export class TreeWorld {
  readonly domain: UserEvents;
  readonly tree: TraceTree;
  /** The time since the world began. */
  nowNs = 0;
  /** The CPU on which things happen. */
  cpu: Cpu = Cpu(0);
  /** Whether stores into programs' memory end by themselves; else `endStores` ends them. */
  storesEnd = true;
  readonly commands: Map<number, string> = new Map([[42, 'prog']]);
  readonly caller: Caller = { tid: Tid(42), uid: Uid(0), gid: 0 };
  #deferred: (() => void)[] = [];
  #timers = new Set<() => void>();
  #hangingStores: (() => void)[] = [];

  constructor(cpuCount = 2) {
    const deferred = {
      defer: (work: () => void) => void this.#deferred.push(work),
      after: (_delayNs: number, work: () => void) => {
        this.#timers.add(work);
        return { cancel: () => void this.#timers.delete(work) };
      },
    };
    this.domain = new UserEvents({
      deferred,
      memory: {
        open: () => ({}),
        close: () => {},
        isAlive: () => true,
        storeBit: (_handle, _address, _bit, _set, completed) => {
          if (this.storesEnd) this.#deferred.push(() => completed('stored'));
          else this.#hangingStores.push(() => completed('stored'));
        },
      },
    });
    const userEventsData: FileNode = { kind: 'file', mode: 0o640, access: 'stream', open: () => 'EIO' };
    this.tree = new TraceTree({
      domain: this.domain,
      userEventsData,
      ports: {
        deferred,
        cpuCount,
        clocks: { now: () => this.nowNs as Nanoseconds, epochNs: () => EPOCH_NS },
        currentCpu: () => this.cpu,
        commandOf: (tid) => this.commands.get(tid),
        processOf: (tid) => Pid(tid - 1),
        requester: ({ tid, uid }) => requester(tid, uid),
        sweep: () => {},
      },
    });
  }

  /** Lets every timer that runs now end. */
  elapse(): void {
    const due = this.#timers;
    this.#timers = new Set();
    for (const work of due) work();
    this.settle();
  }

  /** Does the deferred work, and what that defers. */
  settle(): void {
    while (this.#deferred.length > 0) {
      const work = this.#deferred;
      this.#deferred = [];
      for (const each of work) each();
    }
  }

  /** Ends the stores that hang. */
  endStores(): void {
    const stores = this.#hangingStores;
    this.#hangingStores = [];
    for (const end of stores) end();
    this.settle();
  }

  node(path: string): TreeNode | undefined {
    let node: TreeNode | undefined = this.tree.root;
    for (const name of path.split('/')) {
      if (name === '') continue;
      node = node?.kind === 'directory' ? node.child(name) : undefined;
    }
    return node;
  }

  directory(path: string): DirectoryNode {
    const node = this.node(path);
    assert(node?.kind === 'directory', `${path} is a directory`);
    return node;
  }

  /** Names in a directory; undefined when there is none. */
  list(path: string): string[] | undefined {
    const node = this.node(path);
    return node?.kind === 'directory' ? [...node.entries()].map(({ name }) => name) : undefined;
  }

  open(path: string, access: 'r' | 'w' | 'rw', flags: OpenFlags = {}): Descriptor | ErrnoName {
    const node = this.node(path);
    if (node?.kind !== 'file') return 'ENOENT';
    const mode: OpenMode = {
      readable: access !== 'w',
      writable: access !== 'r',
      nonBlocking: flags.nonBlocking ?? false,
      append: false,
      truncate: flags.truncate ?? false,
    };
    const file = node.open(this.caller, mode);
    return typeof file === 'string' ? file : new Descriptor(file, this.caller);
  }

  /** Opens a file that must open. */
  opened(path: string, access: 'r' | 'w' | 'rw', flags: OpenFlags = {}): Descriptor {
    const descriptor = this.open(path, access, flags);
    assert(typeof descriptor !== 'string', `${path} opens`);
    return descriptor;
  }

  /** The contents of a file, without waiting, or what opening or the first read answered. */
  cat(path: string): string {
    const descriptor = this.open(path, 'r', { nonBlocking: true });
    if (typeof descriptor === 'string') return descriptor;
    let contents = '';
    for (;;) {
      const { value } = descriptor.beginRead();
      assert(value !== undefined, 'a read without waiting is answered');
      if (typeof value === 'string' && contents === '') contents = value;
      if (typeof value === 'string' || value.length === 0) break;
      contents += text(value);
    }
    descriptor.close();
    return contents;
  }

  /** `printf TEXT >> path`: what one write answered once things settled. */
  put(path: string, written: string, flags: OpenFlags = {}): number | ErrnoName | undefined {
    const descriptor = this.open(path, 'w', flags);
    if (typeof descriptor === 'string') return descriptor;
    const answer = descriptor.beginWrite(written);
    this.settle();
    descriptor.close();
    return answer.value;
  }

  /** A program that registers an event and stays. */
  register(command: string, multiFormat = false): UserEventFile {
    const file = this.domain.openFile(this.caller.uid);
    assert(typeof file !== 'string', 'a file opens');
    const request = {
      enableBit: 31,
      enableSize: 4,
      enableAddress: Address(BigInt(0x1000 + 8 * this.domain.events.size)),
      persist: false,
      multiFormat,
      nameAddress: Address(0n),
    } as const;
    let outcome: unknown;
    file.register(requester(this.caller.tid, this.caller.uid), request, command, (answer) => {
      outcome = answer;
    });
    this.settle();
    assert(typeof outcome === 'object', `"${command}" is registered: ${String(outcome)}`);
    return file;
  }
}

/** The write of an event with one u32 field. */
export function eventBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(4, value, true);
  return bytes;
}

function requester(tid: Tid, uid: Uid): Requester {
  return { tid, uid, perfmonCapable: () => true };
}

function text(value: Uint8Array | ErrnoName): string {
  return typeof value === 'string' ? value : Buffer.from(value).toString('latin1');
}
