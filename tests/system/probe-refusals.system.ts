/** What is refused of probes, to whom, and with which text. */
import { chmodSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { needs } from './fixture.ts';
import {
  calls,
  expected,
  makeWorld,
  recorded,
  recordTarget,
  stop,
  untilProberIsGone,
  work,
} from './probe-fixture.ts';

describe('refused', () => {
  test.each([
    ['p:app/x TARGET:nothing', 'Failed to find the given function', 'TARGET:'],
    ['p:app/x TARGET:target_work a=%nothing', 'Invalid register name', 'a='],
    ['p:app/x /nowhere:0x10', 'Failed to find the given file', ''],
    ['p:1/x TARGET:target_work', 'Group name must follow the same rules as C identifiers', undefined],
  ])('a bad definition gets the kernel text and a caret: %s', async (definition, text, before) => {
    const of = await makeWorld('root');
    const typed = definition.replace('TARGET', of.target);
    const { status, stderr } = await of.run('probe', 'add', typed);
    expect(status).toBe(2);
    const [message, shown, caret] = stderr.split('\n');
    expect(message).toBe(`usertrace: ${text}`);
    expect(shown).toBe(`  ${typed}`);
    const lead = before?.replace('TARGET', of.target);
    const at =
      lead === undefined ? 2 : lead === '' ? typed.indexOf('/nowhere') : typed.indexOf(lead) + lead.length;
    expect(caret).toBe(`  ${' '.repeat(at)}^`);
    await untilProberIsGone(of);
  });

  test('the return of what is no function’s beginning is refused, also by record, which ends with it', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const target = await of.startTarget();
    const definition = `r:app/x ${of.target}:target_work+4`;
    for (const command of [
      ['probe', 'add'],
      ['record', '-d', '1s', '-e'],
      ['trace', '-e'],
    ]) {
      const { status, stderr } = await of.run(...command, definition);
      expect(status).toBe(2);
      expect(stderr).toMatch(/Cannot probe the return at \S+:target_work\+4: only at a function's beginning/);
    }
    expect(await of.probes()).toEqual([]);
    expect(await target.end()).toEqual({ status: 0, signal: null });
  });

  test('another user is refused at the socket, though somebody opened the folder', async (context) => {
    needs(context, 'root', 'setpriv');
    const of = await makeWorld('root');
    expect((await of.run('probe', 'add', `p:app/x ${of.target}:target_work`)).status).toBe(0);
    for (const name of ['', 'run']) chmodSync(of.file(name), 0o755);
    chmodSync(of.file('run/prober.socket'), 0o777);
    const script = `
      const socket = require('net').connect(process.argv[1]);
      socket.on('data', (bytes) => process.stdout.write(bytes));
      socket.write(JSON.stringify({ id: 1, request: 'hello', body: { version: 2, isObserver: false } }) + '\\n');
      socket.write(JSON.stringify({ id: 2, request: 'remove', body: { pattern: '*' } }) + '\\n');`;
    const stranger = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'];
    const asked = await of.finish(...stranger, process.execPath, '-e', script, of.file('run/prober.socket'));
    const [answer = ''] = asked.stdout.split('\n');
    expect(JSON.parse(answer), asked.stderr).toMatchObject({
      id: 1,
      refusal: { code: 'EPERM', message: expect.stringMatching(/user 65534/) as string },
    });
    expect(asked.stdout).not.toMatch(/removed/);
    chmodSync(of.file('run'), 0o700);
    expect(await of.probes()).toHaveLength(1);
  });

  test('a process that is not there is refused, and so is what is no definition', async () => {
    const of = await makeWorld('root');
    const none = await of.run('probe', 'add', '-p', '4194303', 'p /bin/sh:0x10');
    expect(none.status).toBe(1);
    expect(none.stderr).toMatch(/Cannot probe process 4194303: there is no such process/);
    expect((await of.run('probe', 'add', 'nonsense')).status).toBe(2);
    expect((await of.run('probe', 'remove')).status).toBe(2);
    expect((await of.run('probe', 'list')).stdout).toBe('no probes\n');
  });

  test('two runs with probes of one name: the second is refused like in the kernel', async (context) => {
    needs(context, 'cc');
    const of = await makeWorld('root');
    const target = await of.startTarget();
    const first = await recordTarget(of, target, '-e', work(of), '-o', '1.dat');
    const second = await of.run('record', '-e', work(of), '-o', '2.dat', '-d', '1s');
    expect(second.status).toBe(1);
    expect(second.stderr).toMatch(/There is already the exact same probe event/);
    await calls(target, 5);
    await stop(first);
    expect(await recorded(of, '1.dat')).toEqual(expected(5));
  });
});
