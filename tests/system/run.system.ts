/** `usertrace run`: an unmodified program finds the tree at /sys/kernel/tracing, as root and as nobody. */
import { chmod, stat } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { type Finished, finish } from '../support/child.ts';
import { missing } from '../support/requirements.ts';
import { USERTRACE } from '../support/server.ts';
import { finishAsOrdinaryUser, needs } from './fixture.ts';

const EVENTS = 5;

function runArguments(...command: readonly string[]): string[] {
  return [process.execPath, USERTRACE, 'run', '--', ...command];
}

function example(): string[] {
  return [cProgram('tests/programs/abi-example.c'), String(EVENTS)];
}

function expectWholeRecording({ status, stdout, stderr }: Finished): void {
  const printed = stdout + stderr;
  expect({ status, printed }).toMatchObject({ status: 0 });
  expect(printed).toContain(`abi-example: wrote ${EVENTS} counts and ${EVENTS} messages`);
  for (let count = 0; count < EVENTS; count++) {
    expect(printed).toContain(`example_count: count=0x${count} (${count})\n`);
    expect(printed).toContain(`example_message: count=0x${count} (${count}) text=message number ${count}\n`);
  }
}

function tracingMounts(): Promise<Finished> {
  return finish('grep', [' /sys/kernel/tracing ', '/proc/self/mounts']);
}

function runAsRoot(...command: readonly string[]): Promise<Finished> {
  const [node = '', ...args] = runArguments(...command);
  return finish(node, args);
}

describe('usertrace run as root', () => {
  test('run records a program that uses the raw ABI', async (context) => {
    needs(context, 'root', 'fuse', 'cc');
    expectWholeRecording(await runAsRoot(...example()));
  });

  test('run exits with the status of its command, and gives nobody else the tree', async (context) => {
    needs(context, 'root', 'fuse');
    const before = await tracingMounts();
    const { status, stdout } = await runAsRoot(
      'sh',
      '-c',
      'cat /sys/kernel/tracing/user_events_status; exit 42',
    );
    expect(stdout).toContain('Active: 0');
    expect(status).toBe(42);
    expect((await tracingMounts()).stdout).toBe(before.stdout);
  });
});

describe('usertrace run as an ordinary user', () => {
  let modeBefore: number | undefined;

  beforeAll(async () => {
    if (missing('root', 'fuse') !== undefined) return;
    modeBefore = (await stat('/dev/fuse')).mode & 0o777;
    await chmod('/dev/fuse', 0o666);
  });

  afterAll(async () => {
    if (modeBefore !== undefined) await chmod('/dev/fuse', modeBefore);
  });

  test('run records a program that uses the raw ABI', async (context) => {
    needs(context, 'root', 'fuse', 'cc', 'setpriv', 'user-namespaces');
    expectWholeRecording(await finishAsOrdinaryUser(...runArguments(...example())));
  });

  test('run leaves its command the ids of the user and no capability', async (context) => {
    needs(context, 'root', 'fuse', 'setpriv', 'user-namespaces');
    const { status, stdout } = await finishAsOrdinaryUser(
      ...runArguments('sh', '-c', 'id -u; grep CapEff /proc/self/status'),
    );
    expect({ status, stdout }).toMatchObject({ status: 0 });
    expect(stdout).toMatch(/^65534$/m);
    expect(stdout).toMatch(/^CapEff:\s*0+$/m);
  });

  test('run says which file to open up when /dev/fuse is closed', async (context) => {
    needs(context, 'root', 'fuse', 'setpriv', 'user-namespaces');
    await chmod('/dev/fuse', 0o600);
    const { status, stderr } = await finishAsOrdinaryUser(...runArguments('true'));
    await chmod('/dev/fuse', 0o666);
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/\/dev\/fuse/);
  });
});
