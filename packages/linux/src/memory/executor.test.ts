import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { AddressSpace } from './address-space.ts';
import { HANDLES } from './arena.ts';
import {
  executorsOf,
  hasCompiler,
  inWorld,
  others,
  stateOfExecutor,
  Target,
  until,
} from './memory-target.sim.ts';

/** What a server in a process of its own imports: Node 20 runs no TypeScript. */
const built = join(import.meta.dirname, '../../dist/index.js');
const isBuilt = existsSync(built);
if (!isBuilt)
  console.warn('skipped: what happens to executors when the server is killed needs npm run build');

/** The one that serves. On a busy machine others may have been killed before it, and lack the CPU to die. */
async function onlyExecutorOf(pid: number): Promise<string> {
  await until('it has one executor', () => executorsOf(pid).length === 1);
  return String(executorsOf(pid)[0]);
}

const descriptorCount = (): number => readdirSync('/proc/self/fd').length;

describe.skipIf(!hasCompiler)('an executor', () => {
  it('leaves no descriptor, executor or child behind', async () => {
    const count = descriptorCount();
    for (let i = 0; i < 3; i++)
      await inWorld(async (world, target, space) => {
        await world.tryStore(space, target.at('stuck'), 1, true);
        await world.tryStore(space, target.at('word'), 1, true);
        world.memory.close(space);
      });
    expect(descriptorCount()).toBe(count);
    // One that waited for the stuck page dies when the kernel has noticed that its server is dead.
    await until('they are dead', () => executorsOf(process.pid).length === 0);
  });

  it.skipIf(!isBuilt)('takes the executor along when the server is killed (needs the build)', async () => {
    const target = await Target.start();
    others.push(target);
    const script = `
      import { Reactor, RemoteMemory } from ${JSON.stringify(built)};
      const reactor = new Reactor();
      const memory = new RemoteMemory(reactor);
      memory.read(memory.open(${target.tid}, 0), ${target.at('word')}n, 4, () => console.log('read'));
      await reactor.run();`;
    const server = spawn(process.execPath, ['--input-type=module', '-e', script]);
    await once(server.stdout, 'data');
    const executor = await onlyExecutorOf(Number(server.pid));
    expect(readFileSync(`/proc/${executor}/status`, 'utf8')).toMatch(/^SigBlk:\tf/m);
    server.kill('SIGKILL');
    await once(server, 'exit');
    await until('it is dead', () => stateOfExecutor(executor) === undefined);
  });

  it('reaches more address spaces than an executor has descriptors of', () =>
    inWorld(async (world, target) => {
      const spaces = Array.from({ length: HANDLES + 100 }, () => world.open(target));
      for (const isSet of [true, false]) {
        const outcomes = await Promise.all(
          spaces.map((space) => world.store(space, target.at('word'), 7, isSet)),
        );
        expect(new Set(outcomes)).toEqual(new Set(['stored']));
        expect(await world.read(spaces[0] as AddressSpace, target.at('word'), 1)).toEqual(
          Uint8Array.of(isSet ? 0x80 : 0),
        );
      }
      for (const space of spaces) world.memory.close(space);
    }));

  it('gives an executor nothing of ours but its eventfd, its socket and the memory that it accesses', () =>
    inWorld(async (world, target, space) => {
      expect(await world.store(space, target.at('word'), 1, true)).toBe('stored');
      const executor = await onlyExecutorOf(process.pid);
      const folder = `/proc/${executor}/fd`;
      const open = readdirSync(folder).map((fd) => readlinkSync(join(folder, fd)).replace(/:\[\d+\]$/, ''));
      expect(open.toSorted()).toEqual([
        `/proc/${target.tid}/maps`,
        `/proc/${target.tid}/mem`,
        'anon_inode:[eventfd]',
        'socket',
      ]);
    }));
});
