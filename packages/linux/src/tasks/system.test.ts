/** The tracker on this machine: a C program makes processes in every way there is, and the tracker is to follow. */
import { spawn, spawnSync } from 'node:child_process';
import { Tid } from '@usertrace/base';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { checked, libc } from '../bindings.ts';
import { Reactor } from '../reactor/reactor.ts';
import { perfmonCapable, verifyCaller } from './caller.ts';
import { openProcessConnector, ProcessConnector } from './connector.ts';
import { compileProgram, hasCompiler, Maker, removeProgram } from './maker.sim.ts';
import { readTaskCommand, readTaskStat, readTaskStatus, readTaskSystemCall } from './procfs.ts';
import type { TaskSink } from './port.ts';
import { SystemTasks } from './system-tasks.ts';
import { TaskTracker } from './tracker.ts';

const hasSetarch = spawnSync('setarch', ['--addr-no-randomize', 'true']).status === 0;
const connectorOrReason = openProcessConnector();
const connectorRefusal = connectorOrReason instanceof ProcessConnector ? undefined : connectorOrReason.reason;
if (connectorOrReason instanceof ProcessConnector) connectorOrReason.close();

beforeAll(() => {
  if (hasCompiler) compileProgram();
});

afterAll(removeProgram);

/** Waits for something that must happen; the test's deadline ends it. */
async function until(hasHappened: () => boolean): Promise<void> {
  while (!hasHappened()) await new Promise(setImmediate);
}

class Sink implements TaskSink {
  readonly spaces = new Map<Tid, object>();
  /** Those whose memory was that of the parent. */
  readonly written = new Set<Tid>();
  onExit: ((tid: Tid) => void) | undefined;

  hasAddressSpace(tid: Tid): boolean {
    return this.spaces.has(tid);
  }
  taskForked(parent: Tid, child: Tid, sharesMemory: boolean, isStillChild: () => boolean): void {
    if (isStillChild()) this.written.add(child);
    this.spaces.set(child, sharesMemory ? this.spaces.get(parent)! : {});
  }
  taskExeced(tid: Tid): void {
    this.spaces.delete(tid);
  }
  taskExited(tid: Tid): void {
    this.spaces.delete(tid);
    this.onExit?.(tid);
  }
}

const MODES = [
  { name: 'with the connector', isConnected: true, refusal: connectorRefusal },
  { name: 'without the connector', isConnected: false, refusal: undefined },
];

for (const { name, isConnected, refusal } of MODES) {
  const missing = hasCompiler ? refusal : 'no C compiler (cc)';
  describe.skipIf(missing !== undefined)(`TaskTracker ${name}${missing ? `: ${missing}` : ''}`, () => {
    let reactor: Reactor;
    let port: SystemTasks;
    let connector: ProcessConnector | undefined;
    let sink: Sink;
    let tracker: TaskTracker;
    let maker: Maker;

    beforeEach(() => {
      reactor = new Reactor();
      port = new SystemTasks(reactor);
      const source = isConnected ? openProcessConnector() : undefined;
      connector = source instanceof ProcessConnector ? source : undefined;
      sink = new Sink();
      tracker = new TaskTracker(port, connector, sink);
      maker = new Maker();
    });

    afterEach(() => {
      maker.end();
      connector?.close();
      port.close();
    });

    async function register(): Promise<void> {
      // An answer means that it runs the program.
      await maker.make('hello');
      tracker.catchUp();
      expect(tracker.identify(maker.tid)).toMatchObject({ tid: maker.tid, pid: maker.tid });
      sink.spaces.set(maker.tid, {});
    }

    it('follows a fork, which has memory of its own', async () => {
      await register();
      const child = await maker.makeOne('fork');
      tracker.catchUp();
      expect([...sink.spaces.keys()]).toEqual([maker.tid, child]);
      expect(sink.spaces.get(child)).not.toBe(sink.spaces.get(maker.tid));
    });

    it('follows a thread and clone(CLONE_VM), which share the memory', async () => {
      await register();
      const thread = await maker.makeOne('thread');
      const clone = await maker.makeOne('clone');
      tracker.catchUp();
      expect(sink.spaces.get(thread)).toBe(sink.spaces.get(maker.tid));
      expect(sink.spaces.get(clone)).toBe(sink.spaces.get(maker.tid));
    });

    it('gives nothing to what was made before the registration', async () => {
      const child = await maker.makeOne('fork');
      const thread = await maker.makeOne('thread');
      await register();
      const later = await maker.makeOne('fork');
      tracker.catchUp();
      expect([...sink.spaces.keys()]).toEqual([maker.tid, later]);
      expect(sink.hasAddressSpace(child) || sink.hasAddressSpace(thread)).toBe(false);
    });

    it('follows an orphan whose parent came and went unseen', async () => {
      await register();
      const grandchild = await maker.makeOne('daemon');
      tracker.catchUp();
      expect(sink.hasAddressSpace(grandchild)).toBe(true);
    });

    it('gives nothing to a child that execs another program', async () => {
      await register();
      const child = await maker.makeOne('spawn');
      tracker.catchUp();
      expect(sink.hasAddressSpace(child)).toBe(false);
      expect(sink.hasAddressSpace(maker.tid)).toBe(true);
    });

    it('notices the exec of a thread, which takes the place of its process', async () => {
      await register();
      const thread = await maker.makeOne('thread');
      tracker.catchUp();
      expect(sink.spaces.size).toBe(2);
      await maker.make('exec');
      tracker.catchUp();
      expect(sink.spaces.size).toBe(0);
      expect(tracker.identify(thread)).toBeUndefined();
      expect(tracker.identify(maker.tid)).toMatchObject({ tid: maker.tid });
    });

    it('notices an exit at once when asked, and by itself when not', async () => {
      await register();
      const first = await maker.makeOne('fork');
      tracker.catchUp();
      expect(sink.hasAddressSpace(first)).toBe(true);
      await maker.make('kill');
      tracker.sweep();
      expect(sink.hasAddressSpace(first)).toBe(false);

      const second = await maker.makeOne('fork');
      tracker.catchUp();
      if (connector !== undefined) reactor.watch(connector.fd, () => tracker.catchUp());
      sink.onExit = (tid) => {
        if (tid === second) reactor.stop();
      };
      const running = reactor.run();
      await maker.make('kill');
      await running;
      expect(sink.hasAddressSpace(second)).toBe(false);
    });

    if (isConnected)
      it('finds the forks that the kernel had no room to tell of', async () => {
        const before = await maker.makeOne('fork');
        await register();
        const fd = connector?.fd ?? -1;
        const size = new Uint32Array([4096]);
        checked(libc().setsockopt(fd, 1, 8, size, size.byteLength), 'make the receive buffer small');
        const children = await maker.make('bomb 200');
        tracker.catchUp();
        for (const child of children) expect(sink.hasAddressSpace(child)).toBe(true);
        expect(sink.hasAddressSpace(before)).toBe(false);
      });

    it('follows 500 forks at once, and forgets them all', async () => {
      await register();
      const children = await maker.make('bomb 500');
      tracker.catchUp();
      expect(sink.spaces.size).toBe(501);
      for (const child of children) expect(sink.hasAddressSpace(child)).toBe(true);
      maker.end();
      await new Promise((resolve) => maker.process.once('exit', resolve));
      while (sink.spaces.size > 0) tracker.sweep();
      expect(tracker.knownCount).toBe(0);
      maker = new Maker();
    });

    it.skipIf(!hasSetarch)(
      'without randomization, follows a fork and an exec by events only, and invents nothing without',
      async () => {
        maker.end();
        maker = new Maker('setarch', '--addr-no-randomize');
        await register();
        const child = await maker.makeOne('fork');
        tracker.catchUp();
        expect([...sink.spaces.keys()]).toEqual(isConnected ? [maker.tid, child] : [maker.tid]);
        expect([...sink.written]).toEqual(isConnected ? [child] : []);
        if (!isConnected) return;
        await maker.make('exec');
        tracker.catchUp();
        expect([...sink.spaces.keys()]).toEqual([child]);
      },
    );
  });
}

describe.skipIf(!hasCompiler)('verifyCaller()', () => {
  it('tells a task that is in the call from one that is not', async () => {
    const maker = new Maker();
    const waiting = await maker.makeOne('wait');
    // It tells its id just before it makes the call.
    await until(() => verifyCaller(waiting, 0xc0de_4321, 0x5678n) === 'verified');
    expect(verifyCaller(waiting, 0xc0de_4321, 0x5679n)).toBe('elsewhere');
    expect(verifyCaller(waiting, 0xc0de_4322, 0x5678n)).toBe('elsewhere');
    // It may still run, having just told the other's id.
    await until(() => verifyCaller(maker.tid, 0xc0de_4321, 0x5678n) === 'elsewhere');
    maker.end();
    await new Promise((resolve) => maker.process.once('exit', resolve));
    expect(verifyCaller(waiting, 0xc0de_4321, 0x5678n)).toBe('elsewhere');
  });

  it('says that it cannot know of a task that is busy, and not that it is another', async () => {
    const maker = new Maker();
    const busy = await maker.makeOne('busy');
    // It tells its id in a call.
    await until(() => readTaskSystemCall(busy) === 'running');
    for (let times = 0; times < 100; times++)
      expect(verifyCaller(busy, 0xc0de_4321, 0x5678n)).toBe('unknown');
    maker.end();
  });
});

describe('perfmonCapable()', () => {
  it('is what CapEff says, for a task of our own user namespace', () => {
    const status = readTaskStatus(Tid(process.pid));
    const isCapable = typeof status !== 'string' && (status.effectiveCapabilities & 0x40_0020_0000n) !== 0n;
    expect(perfmonCapable(Tid(process.pid))).toBe(isCapable);
    expect(perfmonCapable(Tid(0x7fff_fff0))).toBe(false);
  });

  const canUnshare = spawnSync('unshare', ['--user', '--map-root-user', 'true']).status === 0;
  it.skipIf(!canUnshare)('is not what CapEff says in a user namespace below ours', async () => {
    const script = 'echo ready; read wait';
    const inside = spawn('unshare', ['--user', '--map-root-user', 'sh', '-c', script], { stdio: 'pipe' });
    await new Promise((resolve) => inside.stdout.once('data', resolve));
    const status = readTaskStatus(Tid(inside.pid!));
    expect(typeof status === 'string' ? 0n : status.effectiveCapabilities).not.toBe(0n);
    expect(perfmonCapable(Tid(inside.pid!))).toBe(false);
    inside.stdin.end();
  });
});

describe('readTaskStat(), readTaskStatus() and readTaskCommand()', () => {
  it('say who a task is', () => {
    const tid = Tid(process.pid);
    expect(readTaskStat(tid)).toMatchObject({
      parentPid: process.ppid,
      memory: { stack: expect.any(Number) },
    });
    expect(readTaskStatus(tid)).toMatchObject({ pid: process.pid, effectiveUid: process.geteuid?.() });
    expect(readTaskCommand(tid)).toMatchObject({ command: expect.any(String) });
  });

  it.skipIf(!hasCompiler)('say who has execed since it was made', async () => {
    const maker = new Maker();
    await maker.make('hello');
    expect(readTaskStat(maker.tid)).toMatchObject({ hasExeced: true });
    expect(readTaskStat(await maker.makeOne('fork'))).toMatchObject({ hasExeced: false });
    expect(readTaskStat(await maker.makeOne('thread'))).toMatchObject({ hasExeced: false });
    expect(readTaskStat(await maker.makeOne('spawn'))).toMatchObject({ hasExeced: true });
    maker.end();
  });

  it('say that a task is gone', () => {
    const nobody = Tid(0x7fff_fff0);
    expect(readTaskStat(nobody)).toBe('gone');
    expect(readTaskStatus(nobody)).toBe('gone');
    expect(readTaskCommand(nobody)).toBe('gone');
  });
});
