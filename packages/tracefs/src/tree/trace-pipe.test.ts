import { decodeSubBuffer, readCommonFields } from '@usertrace/abi';
import { Cpu } from '@usertrace/base';
import { describe, expect, test } from 'vitest';
import { TreeWorld, eventBytes } from './tree-world.sim.ts';

const text = (value: unknown) => Buffer.from(value as Uint8Array).toString('latin1');
const LINE = '            prog-42      [000] .....   100.000000: tracing_mark_write: ';

describe('trace_pipe', () => {
  test('gives each entry once', () => {
    const world = new TreeWorld();
    world.put('trace_marker', 'one');
    const pipe = world.opened('trace_pipe', 'r');
    expect(pipe.read()).toBe(`${LINE}one\n`);
    world.put('trace_marker', 'two');
    expect(pipe.read()).toBe(`${LINE}two\n`);
    expect(world.cat('trace')).toContain('entries-in-buffer/entries-written: 0/0');
  });

  test('hands out a line in as many reads as it takes', () => {
    const world = new TreeWorld();
    world.put('trace_marker', 'one');
    const pipe = world.opened('trace_pipe', 'r');
    expect([pipe.read(60), pipe.read(60)].map((part) => part.length)).toEqual([60, LINE.length + 4 - 60]);
  });

  test('waits for an entry, and wakes once for many', () => {
    const world = new TreeWorld();
    const pipe = world.opened('trace_pipe', 'r');
    const answer = pipe.beginRead();
    world.settle();
    expect(answer.value).toBeUndefined();
    const marker = world.opened('trace_marker', 'w');
    marker.beginWrite('one');
    marker.beginWrite('two');
    expect(answer.value).toBeUndefined();
    world.settle();
    expect(text(answer.value)).toBe(`${LINE}one\n${LINE}two\n`);
  });

  test('answers EAGAIN instead of waiting with O_NONBLOCK', () => {
    const world = new TreeWorld();
    expect(world.opened('trace_pipe', 'r', { nonBlocking: true }).read()).toBe('EAGAIN');
  });

  test('goes by what fcntl(2) made of O_NONBLOCK since it was opened', () => {
    const world = new TreeWorld();
    const pipe = world.opened('trace_pipe', 'r');
    expect(pipe.beginRead(4096, true).value).toBe('EAGAIN');
    expect(pipe.beginRead(4096, false).value).toBeUndefined();
    const raw = world.opened('per_cpu/cpu0/trace_pipe_raw', 'r', { nonBlocking: true });
    expect(raw.beginRead(4096, false).value).toBeUndefined();
    expect(raw.beginRead(4096, true).value).toBe('EAGAIN');
  });

  test('tells a poller of what comes when there was something already, as an edge-triggered epoll needs', () => {
    const world = new TreeWorld();
    world.put('trace_marker', 'one');
    const pipe = world.opened('trace_pipe', 'r');
    let wakes = 0;
    expect(pipe.poll(() => wakes++)).toBe(true);
    world.settle();
    expect(wakes).toBe(0);
    pipe.read();
    world.put('trace_marker', 'two');
    expect(wakes).toBe(1);
    world.put('trace_marker', 'three');
    expect(wakes).toBe(1);
  });

  test('leaves an entry to the reader after one that was interrupted', () => {
    const world = new TreeWorld();
    const pipe = world.opened('trace_pipe', 'r');
    const interrupted = pipe.beginRead();
    interrupted.interrupt();
    expect(interrupted.value).toBe('EINTR');
    world.put('trace_marker', 'one');
    expect(pipe.read()).toBe(`${LINE}one\n`);
  });

  test('ends when tracing is off, but only after something was read', () => {
    const world = new TreeWorld();
    const pipe = world.opened('trace_pipe', 'r');
    const early = pipe.beginRead();
    world.put('tracing_on', '0');
    expect(early.value).toBeUndefined();
    world.put('tracing_on', '1');
    world.put('trace_marker', 'one');
    expect(text(early.value)).toBe(`${LINE}one\n`);
    const late = pipe.beginRead();
    expect(late.value).toBeUndefined();
    world.put('tracing_on', '0');
    expect(text(late.value)).toBe('');
  });

  test('has one reader for a CPU', () => {
    const world = new TreeWorld();
    const first = world.opened('per_cpu/cpu1/trace_pipe', 'r');
    expect(world.open('trace_pipe', 'r')).toBe('EBUSY');
    expect(world.open('per_cpu/cpu1/trace_pipe', 'r')).toBe('EBUSY');
    world.opened('per_cpu/cpu0/trace_pipe', 'r').close();
    first.close();
    world.opened('trace_pipe', 'r');
    expect(world.open('per_cpu/cpu0/trace_pipe', 'r')).toBe('EBUSY');
  });

  test('of a CPU has only its entries', () => {
    const world = new TreeWorld();
    world.put('trace_marker', 'zero');
    world.cpu = Cpu(1);
    world.put('trace_marker', 'one');
    expect(world.cat('per_cpu/cpu1/trace_pipe')).toBe(`${LINE.replace('[000]', '[001]')}one\n`);
    expect(world.cat('per_cpu/cpu0/trace_pipe')).toBe(`${LINE}zero\n`);
  });

  test('is readable to poll(2) when there is an entry, and says so to who waits', () => {
    const world = new TreeWorld();
    const pipe = world.opened('trace_pipe', 'r');
    let wakes = 0;
    expect(pipe.poll(() => wakes++)).toBe(false);
    world.put('tracing_on', '0');
    expect(wakes).toBe(0);
    world.put('tracing_on', '1');
    world.put('trace_marker', 'one');
    expect(wakes).toBe(1);
    expect(pipe.poll(() => wakes++)).toBe(true);
  });

  test('tells how many entries were overwritten', () => {
    const world = new TreeWorld();
    world.put('buffer_size_kb', '8');
    for (let i = 0; i < 600; i++) world.put('trace_marker', String(i));
    const lost = /^CPU:0 \[LOST (\d+) EVENTS\]\n/.exec(world.cat('trace_pipe'));
    expect(Number(lost?.[1])).toBeGreaterThan(0);
  });
});

describe('trace_pipe_raw', () => {
  test('gives whole sub-buffers', () => {
    const world = new TreeWorld();
    const program = world.register('ev u32 a');
    world.put('events/user_events/ev/enable', '1');
    world.nowNs = 5_000;
    program.write(world.caller.tid, eventBytes(7));
    const raw = world.opened('per_cpu/cpu0/trace_pipe_raw', 'r', { nonBlocking: true });
    const { value } = raw.beginRead();
    expect(value).toHaveLength(4096);
    const [record, ...others] = decodeSubBuffer(value as Uint8Array);
    expect(others).toEqual([]);
    expect(record?.timestamp).toBe(100_000_005_000n);
    expect(readCommonFields(record?.entry as Uint8Array)).toMatchObject({ pid: 42, flags: 0 });
    expect(record?.entry.subarray(8)).toEqual(new Uint8Array([7, 0, 0, 0]));
    expect(raw.read()).toBe('EAGAIN');
  });

  test('waits for an entry', () => {
    const world = new TreeWorld();
    const answer = world.opened('per_cpu/cpu0/trace_pipe_raw', 'r').beginRead();
    world.put('trace_marker', 'one');
    expect(answer.value).toHaveLength(4096);
  });

  test('gives a sub-buffer in parts when less is asked for', () => {
    const world = new TreeWorld();
    world.put('trace_marker', 'one');
    const raw = world.opened('per_cpu/cpu0/trace_pipe_raw', 'r');
    expect([raw.read(4000), raw.read(4000)].map((part) => part.length)).toEqual([4000, 96]);
  });
});
