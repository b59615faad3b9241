import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, realpathSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileIdentity } from '@usertrace/uprobes';
import { afterEach, describe, expect, it } from 'vitest';
import { ProcessScan, readProcess } from './process-scan.ts';

const DEADLINE_MS = 30_000;
const PAUSE_MS = 10;
const ORDINARY_USER_ID = 65_534;
/** As many looks in a row as the scan needs to take a process for one that stays as it is. */
const LOOKS = 10;

const isRoot = process.geteuid?.() === 0;
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Starts a shell's command, which ends with its test. */
function start(script: string): ChildProcess & { readonly pid: number } {
  const child = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  if (child.pid === undefined) throw new Error('there is no shell');
  return child as ChildProcess & { pid: number };
}

async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`not so after ${DEADLINE_MS} ms`);
    await delay(PAUSE_MS);
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  const [text] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  return text.toString().trim();
}

describe('ProcessScan', () => {
  it('finds a process that was started since, with what it has mapped, and forgets it when it has ended', async () => {
    const scan = new ProcessScan(process.geteuid?.() ?? 0);
    for (let look = 0; look < LOOKS; look++) scan.look('due');
    const child = start('echo ready; exec sleep 100');
    await firstLine(child);
    const identity = fileIdentity(realpathSync('/bin/sleep'));
    await until(() => {
      scan.look('due');
      return scan.maps(child.pid, identity);
    });
    expect(scan.process(child.pid)).toMatchObject({ pid: child.pid, parentPid: process.pid });
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    scan.look('due');
    expect(scan.process(child.pid)).toBeUndefined();
    expect(scan.maps(child.pid, identity)).toBe(false);
  });

  it('leaves out itself, and a process that has ended and was not waited for', async () => {
    const scan = new ProcessScan(process.geteuid?.() ?? 0);
    const parent = start('sleep 100 & echo $!; exec sleep 100');
    const ended = Number(await firstLine(parent));
    // The shell would wait for it.
    await until(() => readProcess(parent.pid)?.comm === 'sleep');
    process.kill(ended, 'SIGKILL');
    await until(() => /\) Z /.test(readFileSync(`/proc/${ended}/stat`, 'latin1')));
    scan.look('all');
    const pids = scan.processes.map(({ pid }) => pid);
    expect(pids).not.toContain(ended);
    expect(pids).not.toContain(process.pid);
    expect(pids).toContain(process.ppid);
  });

  it.skipIf(!isRoot)("finds a process that becomes the user's long after it was started", async () => {
    const scan = new ProcessScan(ORDINARY_USER_ID);
    const change = `exec setpriv --reuid=${ORDINARY_USER_ID} --clear-groups -- sleep 100`;
    const child = start(`echo ready; read line; ${change}`);
    await firstLine(child);
    for (let look = 0; look < LOOKS; look++) scan.look('due');
    expect(scan.process(child.pid)).toBeUndefined();
    child.stdin?.write('now\n');
    await until(() => {
      scan.look('due');
      return scan.process(child.pid)?.comm === 'sleep';
    });
  });
});
