/** `usertrace watch -o`: a trace.dat of what is watched. */
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Finished, finish } from '../support/child.ts';
import { inRepository } from '../support/repository.ts';
import { USERTRACE } from '../support/server.ts';
import { TracepointWorld } from '../support/tracepoints.ts';
import { until } from '../support/wait.ts';
import { needs } from './fixture.ts';
import { startCommand, untilUndisturbed } from './utrace-fixture.ts';
import { startWatch, temporaryFolder, watch } from './watch-fixture.ts';

describe('usertrace watch -o', () => {
  test('writes a file that trace-cmd reads as we do, with the program’s own events on the same clock', async (context) => {
    needs(context, 'trace-cmd');
    const world = await TracepointWorld.make();
    onTestFinished(() => world.end());
    const producer = inRepository('tests', 'programs', 'tracepoint-producer.mjs');
    const watcher = world.start(
      'watch',
      '-e',
      'exec,exit,clone,signal,syscall:write',
      '-o',
      'w.dat',
      '--',
      process.execPath,
      producer,
      '1',
    );
    await watcher.line(/^ready /);
    watcher.say('go 500');
    await watcher.line(/^wrote /);
    expect(await watcher.end(), watcher.stderr).toMatchObject({ status: 0 });
    expect(watcher.stderr).toMatch(/\d+ events and 1,000 events of tracepoints in w\.dat/);
    const theirs = await world.finish('trace-cmd', 'report', 'w.dat');
    const ours = await world.run('report', 'w.dat');
    expect(theirs.status, theirs.stderr).toBe(0);
    expect(ours.stdout.split('\n')).toEqual(theirs.stdout.split('\n'));
    const names = (await world.events('w.dat')).map(({ event }) => event);
    const wrote = names.findLastIndex((name) => name === 'sys_enter');
    expect(names[0]).toBe('exec');
    expect(names.indexOf('rec_numbers')).toBeGreaterThan(names.indexOf('clone'));
    expect(names.lastIndexOf('rec_texts')).toBeLessThan(wrote);
    expect(names.at(-1)).toBe('exit');
    expect(names.filter((name) => name.startsWith('rec_'))).toHaveLength(1000);
  });

  test('lets the command run to its end when the disk is full, and says so', async (context) => {
    needs(context, 'root');
    const folder = temporaryFolder();
    await finish('mount', ['-t', 'tmpfs', '-o', 'size=1M', 'none', folder]);
    try {
      const file = path.join(folder, 'full.dat');
      const script = 'dd if=/dev/zero of=/dev/null bs=1 count=8000 2>/dev/null; echo finished';
      const { stdout, stderr, status } = await watch('-e', 'syscall', '-o', file, '--', 'sh', '-c', script);
      expect(stdout).toBe('finished\n');
      expect(stderr).toContain(`cannot write ${file}: the disk is full`);
      expect(status).toBe(1);
    } finally {
      await finish('umount', [folder]);
    }
  });

  test('leaves a readable file when it is killed', async () => {
    const folder = temporaryFolder();
    const file = path.join(folder, 'k.dat');
    const target = await startCommand('sh', '-c', 'while :; do sleep 0.01; done');
    const child = startWatch('-e', 'syscall', '-o', file, '-p', `${target.pid}`);
    const report = (): Promise<Finished> => finish(process.execPath, [USERTRACE, 'report', file]);
    await until('events are in the file', async () => (await report()).stdout.includes('sys_exit'));
    await child.kill('SIGKILL');
    expect((await report()).stdout).toContain('sys_enter');
    await untilUndisturbed(target.pid);
  });
});
