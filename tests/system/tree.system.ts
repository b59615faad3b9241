/** The tree under ordinary tools: ls, cat, echo, grep, tail, and readers of the trace. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { Child, finish, type Finished } from '../support/child.ts';
import type { Server } from '../support/server.ts';
import { delay } from '../support/wait.ts';
import { needs, runProgram, SERVER_NEEDS, shell, startProgram, startServer } from './fixture.ts';

const BLOCKED_MS = 300;
const TRACE_COMMANDS_TIMEOUT_MS = 120_000;
/** Ends a command that trace-cmd records: its recorders take a moment to start, and miss what a faster one did. */
const UNTIL_RECORDERS_READ = `
  recorders() { for pid in \\$(cat /proc/\\$PPID/task/*/children); do ls -l /proc/\\$pid/fd 2> /dev/null; done; }
  until recorders | grep -q trace_pipe_raw; do sleep 0.1; done
  sleep 1`;

async function serverWithEvent(): Promise<Server> {
  const server = await startServer();
  await server.append('dynamic_events', 'u:ev u32 value\n');
  return server;
}

/** Writes `count` events to ev, which must be enabled. */
async function writeEvents(server: Server, count: number): Promise<void> {
  const example = await finish(cProgram('tests/programs/abi-example.c'), [String(count), '5', server.root]);
  expect(example).toMatchObject({ status: 0, stderr: '' });
}

async function serverWithExample(): Promise<Server> {
  const server = await startServer();
  await server.append('dynamic_events', 'u:example_count u32 count\n');
  await server.append('dynamic_events', 'u:example_message u32 count; __rel_loc char[] text\n');
  await server.enable('user_events');
  return server;
}

describe('files and folders', () => {
  test('ls, cat and echo do what they do on a tracefs', async (context) => {
    needs(context, 'root', 'fuse');
    const server = await serverWithEvent();
    const { stdout, stderr, status } = await shell(
      server,
      `ls $ROOT/events/user_events/ev && echo 1 > $ROOT/events/user_events/ev/enable &&
       cat $ROOT/events/user_events/ev/enable $ROOT/events/user_events/enable $ROOT/events/enable &&
       echo 0 > $ROOT/events/enable && cat $ROOT/events/user_events/ev/enable &&
       echo user_events:ev > $ROOT/set_event && cat $ROOT/set_event $ROOT/tracing_on &&
       echo > $ROOT/set_event && cat $ROOT/events/user_events/ev/enable $ROOT/available_events`,
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toBe(
      'enable\nfilter\nformat\nid\ntrigger\n1\n1\n1\n0\nuser_events:ev\n1\n0\nuser_events:ev\n',
    );
  });

  test('every listed name can be looked at, and every readable file ends', async (context) => {
    needs(context, 'root', 'fuse');
    const server = await serverWithEvent();
    const { status, stdout, stderr } = await shell(
      server,
      'find $ROOT -ls >/dev/null && grep -r --exclude="trace_pipe*" --exclude=trace_marker -l "user_events" $ROOT | sed "s:$ROOT/::" | sort',
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.split('\n')).toContain('available_events');
  });

  test('nothing can be made, renamed or removed by hand but instances, as on a tracefs', async (context) => {
    needs(context, 'root', 'fuse');
    const server = await serverWithEvent();
    const refused = [
      ['touch new', 'Permission denied'],
      ['mkfifo new', 'Operation not permitted'],
      ['mkdir new', 'Operation not permitted'],
      ['ln -s enable new', 'Operation not permitted'],
      ['ln enable new', 'Operation not permitted'],
      ['mv enable new', 'Operation not permitted'],
      ['rm -f enable', 'Operation not permitted'],
      ['rmdir ../ev', 'Operation not permitted'],
    ] as const;
    for (const [command, why] of refused) {
      const { stderr, status } = await shell(server, `cd $ROOT/events/user_events/ev && ${command}`);
      expect(stderr, command).toContain(why);
      expect(status, command).toBe(1);
    }
    const { stderr } = await shell(
      server,
      `cd $ROOT && mv README README2; touch new; mkdir new instances/$(printf %0256d 0); mkdir instances/one && mv instances/one instances/two; rmdir instances/one`,
    );
    expect(stderr.replace(/0{256}/, 'LONG').match(/: [A-Z][a-z ]+$/gm)).toEqual([
      ': Operation not permitted',
      ': Permission denied',
      ': Operation not permitted',
      ': File name too long',
      ': Operation not permitted',
    ]);
  });

  test('find goes into every folder, whatever it makes of their number of links', async (context) => {
    needs(context, 'root', 'fuse');
    const server = await serverWithEvent();
    const { stdout } = await shell(
      server,
      'stat -c %h $ROOT $ROOT/events/user_events && find $ROOT -name trigger',
    );
    expect(stdout).toBe(`1\n1\n${server.path('events/user_events/ev/trigger')}\n`);
  });

  test('opening dynamic_events to write anew removes the events', async (context) => {
    needs(context, 'root', 'fuse');
    const server = await serverWithEvent();
    expect(await server.read('dynamic_events')).toBe('u:ev u32 value\n');
    await shell(server, 'echo "u:second" > $ROOT/dynamic_events');
    expect(await server.read('dynamic_events')).toBe('u:second\n');
    await shell(server, 'echo "!u:second" >> $ROOT/dynamic_events');
    expect(await server.read('dynamic_events')).toBe('');
  });

  test('truncating trace empties it, and tail -f follows it', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await serverWithExample();
    await writeEvents(server, 3);
    const tail = new Child('tail', ['-n', '1', '-f', server.path('trace')]);
    expect(await tail.line(/example_/)).toContain('count=0x2 (2)');
    // It goes on. (That it calls a file of size 0 truncated is so on a tracefs too.)
    expect(await tail.kill('SIGTERM')).toEqual({ status: null, signal: 'SIGTERM' });
    await shell(server, ': > $ROOT/trace');
    expect(await server.read('trace')).toContain('entries-in-buffer/entries-written: 0/0');
  });

  test('an instance has events, a buffer and switches of its own', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await serverWithExample();
    await shell(
      server,
      'mkdir $ROOT/instances/other && echo 1 > $ROOT/instances/other/events/user_events/example_count/enable',
    );
    await server.enable('', '0');
    await server.append('instances/other/set_event', 'user_events:example_message\n');
    await writeEvents(server, 2);
    expect(await server.read('trace')).not.toContain('example_count:');
    const other = await server.read('instances/other/trace');
    expect(other).toContain('example_count: count=0x1 (1)');
    expect(other).toContain('example_message: count=0x1 (1)');
    const { status, stderr } = await shell(server, 'rmdir $ROOT/instances/other && ls $ROOT/instances');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(await server.names('instances')).toEqual([]);
    expect(await server.read('events/user_events/example_count/enable')).toBe('0\n');
  });
});

describe('readers of the trace', () => {
  test('trace_pipe blocks, wakes with each event, and takes it out of the trace', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await serverWithExample();
    const reader = new Child('cat', [server.path('trace_pipe')]);
    await delay(BLOCKED_MS);
    expect(reader.lines).toEqual([]);
    await writeEvents(server, 2);
    expect(await reader.line(/example_message: count=0x1 /)).toBeDefined();
    expect(await server.read('trace')).not.toContain('example_count:');
    await reader.kill('SIGINT');
    expect(await reader.ended).toMatchObject({ signal: 'SIGINT' });
  });

  test('poll(2) wakes a reader of trace_pipe', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await serverWithExample();
    const poller = startProgram('poll-reader', server.path('trace_pipe'));
    await poller.line(/^waiting$/);
    await writeEvents(server, 1);
    expect(await poller.line(/^readable/)).toBe('readable');
    expect(await poller.line(/example_/)).toContain('count=0x0');
  });

  test('a server whose reader was killed in a blocking read still stops', async (context) => {
    needs(context, 'root', 'fuse');
    const server = await serverWithEvent();
    const reader = new Child('cat', [server.path('trace_pipe')]);
    await delay(BLOCKED_MS);
    await reader.kill();
    const blocked = new Child('cat', [server.path('trace_pipe')]);
    await delay(BLOCKED_MS);
    expect(await server.process.kill('SIGTERM')).toEqual({ status: 0, signal: null });
    await blocked.ended;
  });

  test('trace_pipe_raw answers whole sub-buffers with the events', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await serverWithExample();
    await writeEvents(server, 3);
    const { stdout } = await shell(
      server,
      'for c in $ROOT/per_cpu/cpu*; do dd if=$c/trace_pipe_raw iflag=nonblock bs=4096 count=1 2>/dev/null; done | wc -c',
    );
    expect(Number(stdout) % 4096).toBe(0);
    expect(Number(stdout)).toBeGreaterThan(0);
  });

  test('trace-cmd records from the tree and reports what was written', async (context) => {
    needs(context, ...SERVER_NEEDS, 'trace-cmd');
    const server = await serverWithExample();
    const { stdout, stderr, status } = await traceCommands(
      server,
      `trace-cmd record -q -e user_events:example_count -e user_events:example_message \\
           sh -c "${cProgram('tests/programs/abi-example.c')} 3; ${UNTIL_RECORDERS_READ}"
         trace-cmd report`,
    );
    expect({ status, stdout, stderr }).toMatchObject({ status: 0 });
    expect(stdout).toMatch(/example_count:\s+count=2/);
    expect(stdout).toMatch(/example_message:\s+count=2 text=message number 2/);
  });

  test('trace-cmd and the shell set filters, which keep what they say', async (context) => {
    needs(context, ...SERVER_NEEDS, 'trace-cmd');
    const server = await serverWithExample();
    const { stdout, stderr, status } = await traceCommands(
      server,
      `trace-cmd record -q -e user_events:example_count -f "count > 3 && comm ~ \\"abi*\\"" \\
           -e user_events:example_message -f "text == \\"message number 1\\"" \\
           sh -c "${cProgram('tests/programs/abi-example.c')} 6 > /dev/null; ${UNTIL_RECORDERS_READ}"
         trace-cmd report | grep -o "example_.*"
         trace-cmd start -e user_events:example_count -f "count & 1" > /dev/null
         cat $ROOT/events/user_events/example_count/filter
         trace-cmd reset > /dev/null
         cat $ROOT/events/user_events/example_count/filter`,
    );
    expect({ status, stdout, stderr }).toMatchObject({ status: 0 });
    expect(stdout.replaceAll(/ +/g, ' ')).toBe(
      'example_message: count=1 text=message number 1\nexample_count: count=4\nexample_count: count=5\n' +
        '(count & 1)\nnone\n',
    );
    // What a shell sees of a wrong one.
    const refused = await shell(
      server,
      `cd $ROOT; echo "nosuch > 1" > events/user_events/example_count/filter; echo $?
       cat events/user_events/example_count/filter; sed "s/^[^]]*] //" error_log | tail -n 3`,
    );
    const caret = `nosuch > 1\n       ^\n`;
    expect(refused.stdout).toBe(
      `1\n${caret}parse_error: Field not found\n\nevent filter parse error: error: Field not found\n` +
        `  Command: ${caret.replace('\n', `\n${' '.repeat(11)}`)}`,
    );
  });

  test('trace-cmd sets triggers and takes them away', async (context) => {
    needs(context, ...SERVER_NEEDS, 'trace-cmd');
    const server = await serverWithExample();
    const example = `"${cProgram('tests/programs/abi-example.c')}"`;
    const { stdout, stderr, status } = await traceCommands(
      server,
      `trace-cmd start -e user_events:example_count -R "traceoff:1 if count == 2" > /dev/null
         cat $ROOT/events/user_events/example_count/trigger
         ${example} 5 > /dev/null || true
         trace-cmd show | grep -o "example_.*"; cat $ROOT/tracing_on $ROOT/events/user_events/example_count/enable
         trace-cmd reset > /dev/null
         cat $ROOT/events/user_events/example_count/trigger $ROOT/events/user_events/example_count/enable`,
    );
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(stdout).toBe(
      'traceoff:count=1 if count == 2\nexample_count: count=0x0 (0)\nexample_count: count=0x1 (1)\nexample_count: count=0x2 (2)\n' +
        '0\n1*\n# Available triggers:\n# traceon traceoff enable_event disable_event\n0\n',
    );
  });
});

/** Runs commands where a server's tree stands for the kernel's, as trace-cmd needs it, in a folder that is gone after the test. */
function traceCommands(server: Server, commands: string): Promise<Finished> {
  const folder = mkdtempSync(path.join(tmpdir(), 'usertrace-trace-cmd-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return shell(
    server,
    `unshare --mount --propagation private sh -ec '
       cd ${folder}
       mount --bind $ROOT /sys/kernel/tracing
       # trace-cmd switches function tracing on in the kernel itself, which containers forbid: it gets a file
       echo 1 > ftrace_enabled
       mount --bind ftrace_enabled /proc/sys/kernel/ftrace_enabled
       ${commands}'`,
    TRACE_COMMANDS_TIMEOUT_MS,
  );
}

describe('registration through the file system', () => {
  test('what a program registered is listed with its format', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await startServer();
    const holder = startProgram('word-holder', server.root, 'plain', 'held u32 value; __rel_loc char[] text');
    await holder.line(/^ready /);
    expect(await server.read('available_events')).toContain('user_events:held\n');
    expect(await server.read('events/user_events/held/format')).toContain('field:u32 value;');
    expect((await runProgram('register-once', server.root, '0', 'held u64 value')).stdout).toBe(
      'EADDRINUSE\n',
    );
  });
});
