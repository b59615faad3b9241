/** `usertrace watch -p`: processes that run are watched, and run on. */
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Child, finish } from '../support/child.ts';
import { USERTRACE } from '../support/server.ts';
import { until } from '../support/wait.ts';
import { finishAsOrdinaryUser, needs } from './fixture.ts';
import { disturbedThreads, startCommand, stateOf, statusField, untilUndisturbed } from './utrace-fixture.ts';
import { startWatch, temporaryFolder, watch } from './watch-fixture.ts';

/** A Node program that reads a file again and again, in threads of libuv's and its own. */
const READER = `
const { readFile } = require('node:fs');
const { Worker, isMainThread } = require('node:worker_threads');
if (isMainThread) { new Worker(__filename); new Worker(__filename); }
setInterval(() => readFile('/etc/hostname', () => {}), 5);
if (isMainThread) console.log('reads');`;

describe('usertrace watch -p', () => {
  test('watches all threads of a Node process, and leaves it running and untraced', async () => {
    const folder = temporaryFolder();
    const file = path.join(folder, 'reader.cjs');
    await finish('sh', ['-c', 'printf "%s" "$1" > "$2"', 'sh', READER, file]);
    const target = await startCommand(process.execPath, file);
    await target.output.line(/^reads/);
    const child = startWatch('-e', 'syscall:openat', '-p', String(target.pid));
    await until('opens by several threads are seen', () => {
      const tids = [...child.stderr.matchAll(/ \d+\/(\d+) \([^)]*\) openat\(AT_FDCWD, "\/etc\/hostname"/g)];
      return new Set(tids.map(([, tid]) => tid)).size >= 2;
    });
    expect(child.stderr).toMatch(
      new RegExp(`watching process ${target.pid}, \\d+ threads; Ctrl-C lets it go`),
    );
    expect(await child.kill('SIGINT')).toEqual({ status: 0, signal: null });
    expect(disturbedThreads(target.pid)).toEqual([]);
    expect(target.send('SIGTERM')).toBe(true);
    await target.output.line(/^status 143/);
  });

  test('several processes at once, until they have ended', async () => {
    const first = await startCommand('sleep', '100');
    const second = await startCommand('sleep', '100');
    const child = startWatch('-p', `${first.pid}`, '-p', `${second.pid}`);
    await until('both are watched', () => child.stderr.split('watching process').length === 3);
    first.send('SIGTERM');
    second.send('SIGKILL');
    expect(await child.ended).toEqual({ status: 0, signal: null });
    expect(child.stderr).toContain(`${first.pid} (sleep) killed by SIGTERM\n`);
    expect(child.stderr).toContain(`${second.pid} (sleep) killed by SIGKILL\n`);
  });

  test('shows job control, and lets a stopped process stay stopped', async () => {
    const target = await startCommand('sleep', '100');
    const child = startWatch('-p', `${target.pid}`);
    await until('it is watched', () => child.stderr.includes('watching process'));
    target.send('SIGSTOP');
    await until('the stop is shown', () => child.stderr.includes('(sleep) stopped by SIGSTOP\n'));
    target.send('SIGCONT');
    await until('the end of it is shown', () => child.stderr.includes('(sleep) goes on\n'));
    target.send('SIGSTOP');
    await until('it is stopped', () => child.stderr.split('stopped by SIGSTOP').length === 3);
    expect(await child.kill('SIGTERM')).toEqual({ status: 0, signal: null });
    await until('it is stopped, and untraced', () => stateOf(target.pid) === 'T');
    expect(statusField(target.pid, 'TracerPid')).toBe('0');
    target.send('SIGCONT');
    await untilUndisturbed(target.pid);
  });

  test('leaves a process running and untraced when it is killed itself', async () => {
    const target = await startCommand('sh', '-c', 'while :; do sleep 0.01; done');
    const child = startWatch('-e', 'syscall', '-p', `${target.pid}`);
    await until('calls are shown', () => child.stderr.includes(' = '));
    await child.kill('SIGKILL');
    await untilUndisturbed(target.pid);
    expect(target.send('SIGTERM')).toBe(true);
  });

  test('names who traces a process already, and why another user may not', async (context) => {
    needs(context, 'setpriv', 'strace');
    const target = await startCommand('sleep', '100');
    const other = new Child('strace', ['-o', '/dev/null', '-p', `${target.pid}`]);
    onTestFinished(async () => {
      await other.kill();
    });
    await until('strace has it', () => statusField(target.pid, 'TracerPid') !== '0');
    const taken = await watch('-p', `${target.pid}`);
    expect(taken.status).toBe(1);
    expect(taken.stderr).toMatch(/strace \(process \d+\) traces it; end that first/);
    await other.kill('SIGTERM');
    const refused = await finishAsOrdinaryUser(process.execPath, USERTRACE, 'watch', '-p', `${target.pid}`);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/Cannot attach to task \d+: .*(belongs to another user|ptrace_scope)/);
  });
});
