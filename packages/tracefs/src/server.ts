/**
 * A running server: plays the kernel for one mount, in this process and on this thread.
 *
 *     Reactor ---- FuseConnection ---- FuseSession ---- TraceTree
 *        |                                                 |-- user_events_data --> UserEvents (the domain)
 *        |---- RemoteMemory (executor process) <-----------|
 *        '---- TaskTracker <-- process connector or /proc, tells UserEvents of fork, exec and exit
 *
 * `startServer` makes these in order and owns them; `stop` undoes them in reverse. A program that still has files of
 * the tree open gets ENOTCONN or ECONNABORTED from then on, and never waits.
 */

import { ErrnoError, Nanoseconds, type Pid, type Tid, Uid } from '@usertrace/base';
import {
  adoptProcessConnector,
  descriptorLimit,
  type EventSource,
  type FuseMount,
  isInUserNamespace,
  MAX_TIMERS,
  monotonicNow,
  mountFuse,
  openProcessConnector,
  perfmonCapable,
  ProcessConnector,
  Reactor,
  RemoteMemory,
  SystemTasks,
  TaskTracker,
  verifyCaller,
  writeCallOf,
} from '@usertrace/linux';
import { type Requester, UserEvents } from '@usertrace/user-events';
import { descriptorShares } from './descriptor-shares.ts';
import { FuseConnection } from './fuse/connection.ts';
import { CPU_COUNT, currentCpu, SYSTEM_CLOCKS } from './machine.ts';
import { memoryPort } from './memory-port.ts';
import type { Caller, DirectoryNode } from './node.ts';
import type { ProbesPort } from './probe-event.ts';
import { TraceTree } from './tree/trace-tree.ts';
import { userEventsDataNode } from './user-events-data.ts';
import { UserShares } from './user-shares.ts';

/** How a server is to be. */
export interface ServerOptions {
  /** The directory to mount at; it exists. */
  readonly mount: string;
  /** Permission bits of the tree's root directory; 0700 when left out, so that only the owner gets in. */
  readonly mode?: number;
  /** How many events may exist; 32,768 when left out. Users other than the server's own may make a quarter. */
  readonly maxEvents?: number;
  /** Whether the tree of another server at the same directory may be covered; if not, starting throws EBUSY. */
  readonly mayCover?: boolean;
  /** Who has the probes that the tree shows; without it there are none. */
  readonly probes?: ProbesPort;
  /**
   * Makes what tells of forks, execs and ends, in place of the process connector and of searching /proc. It is told whom to call
   * when there is something new. Its maker closes it, after the server.
   */
  readonly taskEvents?: (arrived: () => void) => EventSource;
  /** An inherited subscription to the process connector, for a server that may not make one itself. */
  readonly processConnectorFd?: number;
}

/** A server that serves. */
export interface RunningServer {
  readonly mount: string;
  /** The tree that is mounted, for use in this process: a path through the mount would wait for ourselves. */
  readonly root: DirectoryNode;
  /** Switches on, in the top instance, every event that is registered from now on and is wanted. */
  enableNew(isWanted: (system: string, name: string) => boolean): void;
  /** Unmounts and ends. May be called more than once. */
  stop(): Promise<void>;
  /** Resolves when it has ended, by `stop` or because somebody unmounted it. */
  readonly stopped: Promise<void>;
}

const DEFAULT_ROOT_MODE = 0o700;
/** Without the process connector, tasks that ended without anybody noticing are looked for so often. */
const SWEEP_INTERVAL_NS = Nanoseconds(1_000_000_000);
/** How long the kernel may take to open the connection of a mount. */
const OPENING_DEADLINE_NS = Nanoseconds(5_000_000_000);

/**
 * Mounts the tree and serves it on this thread, in turns with Node's own event loop.
 *
 * @returns once a program may open the tree's files
 * @throws {MountError} when it cannot be mounted; the message says what was refused and what would help
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const server = new Server(options);
  await server.open();
  return server;
}

/** The reactor's timers are shared by words that wait for another try and all else, which needs a few thousand. */
const LATE_RETRIES = MAX_TIMERS / 2;

class Server implements RunningServer {
  readonly mount: string;
  readonly root: DirectoryNode;
  readonly stopped: Promise<void>;
  readonly #reactor = new Reactor();
  readonly #memory = new RemoteMemory(this.#reactor);
  readonly #tasks = new SystemTasks(this.#reactor);
  readonly #connector: ProcessConnector | undefined;
  readonly #domain: UserEvents;
  readonly #tracker: TaskTracker;
  readonly #tree: TraceTree;
  readonly #fuse: FuseMount;
  readonly #connection: FuseConnection;
  #isUnmounted = false;

  constructor(options: ServerOptions) {
    this.mount = options.mount;
    const { maxEvents } = options;
    const owner = Uid(process.getuid?.() ?? 0);
    const { addressSpaces, ioctls } = descriptorShares(descriptorLimit());
    this.#domain = new UserEvents(
      { memory: memoryPort(this.#memory, () => this.#tracker.catchUp()), deferred: this.#reactor },
      {
        ...(maxEvents === undefined ? {} : { events: maxEvents, eventsPerUser: maxEvents }),
        addressSpaces,
        addressSpacesPerUser: addressSpaces,
        lateRetries: LATE_RETRIES,
      },
      owner,
    );
    const taskEvents = options.taskEvents?.(() => this.#tracker.catchUp());
    this.#connector = taskEvents === undefined ? processConnector(options.processConnectorFd) : undefined;
    this.#tracker = new TaskTracker(this.#tasks, taskEvents ?? this.#connector, this.#domain);
    const sweep = (): void => this.#tracker.sweep();
    this.#tree = new TraceTree({
      domain: this.#domain,
      ports: {
        clocks: SYSTEM_CLOCKS,
        deferred: this.#reactor,
        cpuCount: CPU_COUNT,
        currentCpu,
        commandOf: (tid) => this.#tasks.commandOf(tid),
        processOf: (tid) => this.#processOf(tid),
        requester,
        sweep,
      },
      userEventsData: userEventsDataNode(this.#domain, {
        memory: this.#memory,
        callers: {
          isInIoctl: ({ tid }, command, argument) => verifyCaller(tid, command, argument) !== 'elsewhere',
          writeCallOf: ({ tid }) => writeCallOf(tid),
          identify: (caller) => this.#identify(caller),
          sweep,
        },
        underWay: new UserShares(ioctls, owner),
      }),
      ...(options.probes === undefined ? {} : { probes: options.probes }),
    });
    this.root = this.#tree.root;
    const mode = options.mode ?? DEFAULT_ROOT_MODE;
    try {
      this.#fuse = mountFuse(options.mount, {
        rootMode: mode,
        allowOther: isOthersBusiness(mode),
        mayCover: options.mayCover ?? false,
      });
    } catch (error) {
      this.#closeUnmounted();
      throw error;
    }
    this.#connection = new FuseConnection(
      this.#fuse.fd,
      this.root,
      { uid: owner, gid: process.getgid?.() ?? 0, rootMode: mode },
      () => this.#tracker.catchUp(),
      () => this.#reactor.stop(),
    );
    this.stopped = this.#serve();
  }

  /** Waits until the kernel has opened the connection: from then on a program may open the files. */
  async open(): Promise<void> {
    const deadlineNs = monotonicNow() + OPENING_DEADLINE_NS;
    while (!this.#connection.session.isInitialised) {
      if (monotonicNow() > deadlineNs) {
        await this.stop();
        throw new ErrnoError(
          'ETIMEDOUT',
          `Cannot serve at ${this.mount}: the kernel did not open the connection`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  enableNew(isWanted: (system: string, name: string) => boolean): void {
    this.#tree.enableNew(isWanted);
  }

  stop(): Promise<void> {
    if (!this.#isUnmounted) {
      this.#isUnmounted = true;
      this.#fuse.unmount();
    }
    this.#reactor.stop();
    return this.stopped;
  }

  async #serve(): Promise<void> {
    const watches = [this.#reactor.serve(this.#connection)];
    if (this.#connector !== undefined) {
      watches.push(this.#reactor.watch(this.#connector.fd, () => this.#tracker.catchUp()));
    }
    this.#sweepLater();
    try {
      await this.#reactor.run();
    } finally {
      for (const watch of watches) watch.cancel();
      this.#close();
    }
  }

  #sweepLater(): void {
    this.#reactor.after(SWEEP_INTERVAL_NS, () => {
      this.#tracker.sweep();
      this.#sweepLater();
    });
  }

  /** Undoes what the constructor made, the last first. */
  #close(): void {
    this.#connection.close();
    if (!this.#isUnmounted) this.#fuse.unmount();
    this.#isUnmounted = true;
    this.#fuse.close();
    this.#closeUnmounted();
  }

  /** What there is without a mount. */
  #closeUnmounted(): void {
    this.#connector?.close();
    this.#tasks.close();
    this.#memory.dispose();
    this.#reactor.close();
  }

  #processOf(tid: Tid): Pid | undefined {
    const pid = this.#tasks.processOf(tid);
    return typeof pid === 'string' ? undefined : pid;
  }

  #identify(caller: Caller): Requester | undefined {
    this.#tracker.catchUp();
    return this.#tracker.identify(caller.tid) === undefined ? undefined : requester(caller);
  }
}

/** The domain's view of a caller; capabilities are read only where they matter. */
function requester({ tid, uid }: Caller): Requester {
  return { tid, uid, perfmonCapable: () => perfmonCapable(tid) };
}

/**
 * Whether users other than the server's own may use the tree, as far as its modes let them. Root of the machine can
 * let them in later by chmod(1); in a user namespace this would shut out the same user's processes outside of it.
 */
function isOthersBusiness(mode: number): boolean {
  return (!isInUserNamespace() && process.getuid?.() === 0) || (mode & 0o077) !== 0;
}

/** The process connector, if this process may listen to it. */
function processConnector(inheritedFd: number | undefined): ProcessConnector | undefined {
  const connector = inheritedFd === undefined ? openProcessConnector() : adoptProcessConnector(inheritedFd);
  return connector instanceof ProcessConnector ? connector : undefined;
}
