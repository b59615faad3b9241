/** Probes in the served tree: uprobe_events, uprobe_profile, and events that are switched on and recorded like user events. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Child } from '../support/child.ts';
import { ProbeWorld } from '../support/probes.ts';
import { Server } from '../support/server.ts';
import { until } from '../support/wait.ts';
import { needs } from './fixture.ts';

const DEADLINE_MS = 30_000;

let world: ProbeWorld;
let server: Server | undefined;

beforeEach(async () => {
  world = await ProbeWorld.make('root');
});

afterEach(async () => {
  await server?.stop();
  server = undefined;
  await world.end();
});

async function startServer(): Promise<Server> {
  server = await Server.start({ environment: world.environment });
  return server;
}

/** Runs a shell script in the tree. */
async function shell(
  of: Server,
  script: string,
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  return world.finish('sh', '-c', `cd ${of.root} || exit 99\nTARGET=${world.target}\n${script}`);
}

const DEFINITION = 'p:app/work $TARGET:target_work n=%di:s64 name=+0(%si):string';

async function calls(target: Child, count: number): Promise<void> {
  target.say(`${count}`);
  await target.line(/^called /);
}

/** The lines of `trace` that are events, from the event's name on. */
async function events(of: Server): Promise<string[]> {
  const text = await readFile(path.join(of.root, 'trace'), 'latin1');
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.replace(/^.*?: (?=\w+: )/, '').replace(/0x[0-9a-f]+/, 'IP'));
}

const EXPECTED = ['work: (IP) n=0 name="zero"', 'work: (IP) n=1 name="one"', 'work: (IP) n=2 name="two"'];

test('a definition is written, listed, switched on, recorded, counted and removed', async (context) => {
  needs(context, 'root', 'fuse', 'cc');
  const of = await startServer();
  const target = await world.startTarget();
  expect(await shell(of, `echo "${DEFINITION}" >> uprobe_events`)).toMatchObject({ status: 0, stderr: '' });
  const listed = await shell(
    of,
    'cat uprobe_events; grep app: available_events; ls events/app events/app/work',
  );
  const place = `p:app/work ${world.target}:0x[0-9a-f]{16} n=%di:s64 name=\\+0\\(%si\\):string`;
  expect(listed.stdout).toMatch(
    new RegExp(
      `^${place}\napp:work\nevents/app:\nenable\nfilter\nwork\n\nevents/app/work:\n(enable|filter|format)`,
    ),
  );
  const format = await shell(of, 'cat events/app/work/format');
  expect(format.stdout).toMatch(
    /^name: work\nID: 1\d{3}\nformat:\n[^]*field:s64 n;\toffset:16;\tsize:8;\tsigned:1;/,
  );
  await calls(target, 2);
  expect((await shell(of, 'echo 1 > events/app/work/enable; cat events/app/work/enable')).stdout).toBe('1\n');
  await calls(target, 3);
  await until('the hits are in trace', async () => (await events(of)).length >= 3, DEADLINE_MS);
  expect(await events(of)).toEqual(EXPECTED);
  const profile = (await shell(of, 'cat uprobe_profile')).stdout;
  expect(profile).toBe(`  ${world.target} ${'work'.padEnd(44)} ${'3'.padStart(15)}\n`);
  const busy = await shell(of, 'echo "-:app/work" >> uprobe_events || echo busy; : > uprobe_events');
  expect(busy.stdout).toBe('busy\n');
  expect(busy.stderr).toMatch(/Device or resource busy|Resource busy/);
  await shell(of, 'echo 0 > events/app/work/enable');
  await calls(target, 3);
  expect(await shell(of, 'echo "-:app/work" >> uprobe_events')).toMatchObject({ status: 0 });
  expect((await shell(of, 'cat uprobe_events; ls events | grep app')).stdout).toBe('');
  expect(await target.end()).toEqual({ status: 0, signal: null });
});

test('a bad definition answers the errno of the kernel, and error_log has its text and caret', async (context) => {
  needs(context, 'root', 'fuse', 'cc');
  const of = await startServer();
  const command = `p:app/bad ${world.target}:0x10 a=%nothing`;
  const refused = await writeFile(path.join(of.root, 'uprobe_events'), command, { flag: 'a' }).catch(
    (error: unknown) => error,
  );
  expect(refused).toMatchObject({ code: 'EINVAL' });
  const log = await readFile(path.join(of.root, 'error_log'), 'latin1');
  expect(log.replace(/^\[ *\d+\.\d{6}\] /, '')).toBe(
    `trace_uprobe: error: Invalid register name\n  Command: ${command}\n${' '.repeat(11 + command.indexOf('%nothing'))}^\n`,
  );
  const missing = await writeFile(path.join(of.root, 'uprobe_events'), '-:app/none', { flag: 'a' }).catch(
    (error: unknown) => error,
  );
  expect(missing).toMatchObject({ code: 'ENOENT' });
  expect((await shell(of, 'cat uprobe_events')).stdout).toBe('');
});

test("an instance's filter lets through what it says, and shows what is wrong with it", async (context) => {
  needs(context, 'root', 'fuse', 'cc');
  const of = await startServer();
  const target = await world.startTarget();
  await shell(of, `echo "${DEFINITION}" >> uprobe_events; echo 1 > events/app/work/enable`);
  const set = await shell(
    of,
    'cd events/app/work; cat filter; echo \'n >= 2 && name != "zero"\' > filter; cat filter',
  );
  expect(set.stdout).toBe('none\nn >= 2 && name != "zero"\n');
  await calls(target, 6);
  const wanted = ['work: (IP) n=2 name="two"', 'work: (IP) n=4 name="one"', 'work: (IP) n=5 name="two"'];
  await until('the hits are in trace', async () => (await events(of)).length >= 3, DEADLINE_MS);
  expect(await events(of)).toEqual(wanted);
  const bad = await shell(
    of,
    'echo "nosuch == 1" > events/app/work/filter; cat events/app/work/filter; cat error_log',
  );
  expect(bad.stdout).toMatch(
    /^nosuch == 1\n {7}\^\nparse_error: Field not found\n\n\[ *\d+\.\d{6}\] event filter parse error: error: Field not found\n {2}Command: nosuch == 1\n {18}\^\n$/,
  );
  expect((await shell(of, 'echo 0 > events/app/work/filter; cat events/app/work/filter')).stdout).toBe(
    'none\n',
  );
  await shell(of, 'echo 0 > events/app/work/enable');
});

test('probes that commands added are in the tree too, and go with them', async (context) => {
  needs(context, 'root', 'fuse', 'cc');
  const of = await startServer();
  const definition = DEFINITION.replace('$TARGET', world.target);
  expect((await world.run('probe', 'add', definition)).status).toBe(0);
  const has = async (): Promise<boolean> =>
    (await shell(of, 'cat available_events')).stdout.includes('app:work');
  await until('the tree has the event', has, DEADLINE_MS);
  await shell(of, 'echo app:work > set_event');
  const ended = await world.finish(world.target, '3');
  expect(ended.status).toBe(7);
  await world.run('probe', 'list');
  await shell(of, 'echo "!app:work" > set_event');
  expect((await world.run('probe', 'remove', 'app:work')).status).toBe(0);
  await until('the tree has it no longer', async () => !(await has()), DEADLINE_MS);
});

test('trace-cmd records them', async (context) => {
  needs(context, 'root', 'fuse', 'cc', 'trace-cmd');
  const of = await startServer();
  const target = await world.startTarget();
  await shell(of, `echo "${DEFINITION}" >> uprobe_events; echo 1 > events/app/work/enable`);
  await calls(target, 3);
  await until('the hits are in trace', async () => (await events(of)).length >= 3, DEADLINE_MS);
  const data = world.file('tree.dat');
  const script = `TRACEFS_PATH=${of.root} trace-cmd extract -o ${data} >&2 && trace-cmd report ${data}`;
  const { stdout, stderr } = await world.finish(
    'sh',
    '-c',
    `unshare -m sh -c 'mount --bind ${of.root} /sys/kernel/tracing && ${script}'`,
  );
  expect(stdout.match(/ work: +\([0-9a-f]+\) n=\d name="(zero|one|two)"$/gmu), stderr).toHaveLength(3);
  await shell(of, 'echo 0 > events/app/work/enable');
});

test('dynamic_events lists, takes and removes probes beside user events, as the kernel does', async (context) => {
  needs(context, 'root', 'fuse', 'cc');
  const of = await startServer();
  await shell(
    of,
    'echo "u:ev u32 a" >> dynamic_events; echo "-:ev" >> dynamic_events; echo "!u:ev u32 a" >> dynamic_events; echo "-:ev u32 a" >> dynamic_events',
  );
  expect((await world.run('probe', 'list')).stdout).toBe('no probes\n');
  const place = `${world.target}:0x`;
  const made = await shell(
    of,
    `echo "u:ev u32 a" >> dynamic_events; (echo "${DEFINITION}"; echo "r:app/done $TARGET:target_work # its end") | cat >> dynamic_events
     sed "s/0x[0-9a-f]*/0x/" dynamic_events; ls -d events/app/*; cat uprobe_events | wc -l`,
  );
  expect(made).toMatchObject({ stderr: '', status: 0 });
  expect(made.stdout).toBe(
    `u:ev u32 a\np:app/work ${place} n=%di:s64 name=+0(%si):string\nr:app/done ${place}\n` +
      'events/app/done\nevents/app/enable\nevents/app/filter\nevents/app/work\n2\n',
  );
  const bad = async (command: string): Promise<unknown> =>
    writeFile(path.join(of.root, 'dynamic_events'), command, { flag: 'a' }).then(
      () => 'taken',
      (error: NodeJS.ErrnoException) => error.code,
    );
  expect(await bad(`p:app/bad ${world.target}:0x10 a=%nothing`)).toBe('EINVAL');
  expect(await readFile(path.join(of.root, 'error_log'), 'latin1')).toContain(
    'trace_uprobe: error: Invalid register name\n',
  );
  expect(await bad('p:app/bad /nosuch:0x10')).toBe('ENOENT');
  expect(await bad('-:app/nosuch')).toBe('ENOENT');
  for (const wrong of ['nonsense', 'e:app/x', '-:', '-', '!', '-p:app/work'])
    expect([wrong, await bad(wrong)]).toEqual([wrong, 'EINVAL']);
  await shell(of, 'echo 1 > events/app/work/enable');
  expect(await bad('-:app/work')).toBe('EBUSY');
  expect((await shell(of, 'echo > dynamic_events')).status).not.toBe(0);
  expect((await shell(of, 'echo 0 > events/app/work/enable; wc -l < dynamic_events')).stdout).toBe('3\n');
  expect(await bad('!p:app/work')).toBe('taken');
  expect(await bad('-:done\n-:ev u32 a\n')).toBe('taken');
  expect((await shell(of, 'cat dynamic_events uprobe_events; ls events | grep app')).stdout).toBe('');
  await shell(
    of,
    `echo "u:ev" >> dynamic_events; echo "${DEFINITION}" >> dynamic_events; echo > dynamic_events`,
  );
  expect((await shell(of, 'cat dynamic_events; ls events | grep -e app -e user')).stdout).toBe('');
});
