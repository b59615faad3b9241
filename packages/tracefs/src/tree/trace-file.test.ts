import { describe, expect, test } from 'vitest';
import { TreeWorld } from './tree-world.sim.ts';

const HEADER_LINES = 12;
const lines = (contents: string) => contents.split('\n').slice(HEADER_LINES, -1);
const texts = (contents: string) => lines(contents).map((line) => line.replace(/.*tracing_mark_write: /, ''));

describe('trace', () => {
  test('leaves the entries where they are', () => {
    const world = new TreeWorld();
    world.put('trace_marker', 'one');
    world.put('trace_marker', 'two');
    expect(texts(world.cat('trace'))).toEqual(['one', 'two']);
    expect(world.cat('trace')).toContain('entries-in-buffer/entries-written: 2/2   #P:2\n');
  });

  test('is emptied by O_TRUNC and by truncate(2), of one CPU or all, and takes any write', () => {
    const world = new TreeWorld();
    world.put('trace_marker', 'one');
    expect(world.put('trace', 'x\n')).toBe(2);
    expect(world.put('per_cpu/cpu1/trace', '\n', { truncate: true })).toBe(1);
    expect(texts(world.cat('trace'))).toEqual(['one']);
    expect(world.put('per_cpu/cpu0/trace', '\n', { truncate: true })).toBe(1);
    expect(texts(world.cat('trace'))).toEqual([]);
    world.put('trace_marker', 'two');
    const node = world.node('trace');
    if (node?.kind === 'file') node.truncate?.();
    expect(texts(world.cat('trace'))).toEqual([]);
  });

  test('is the same text in reads of any size', () => {
    const world = new TreeWorld();
    world.put('buffer_size_kb', '1000');
    for (let i = 0; i < 3000; i++) world.put('trace_marker', `number ${i}`);
    const whole = world.cat('trace');
    expect(texts(whole)).toHaveLength(3000);
    const file = world.opened('trace', 'r');
    let pieces = '';
    for (
      let size = 1, piece = file.read(size);
      piece !== '';
      size = (size * 7) % 5003, piece = file.read(size + 1)
    ) {
      pieces += piece;
    }
    expect(pieces).toBe(whole);
  });

  test('can be read anew from an earlier place', () => {
    const world = new TreeWorld();
    world.put('buffer_size_kb', '1000');
    for (let i = 0; i < 1000; i++) world.put('trace_marker', `number ${i}`);
    const file = world.opened('trace', 'r');
    const start = file.read(40_000);
    file.position = 100;
    expect(file.read(20)).toBe(start.slice(100, 120));
    file.position = 30_000;
    expect(file.read(20)).toBe(start.slice(30_000, 30_020));
  });

  test('comes to an end and keeps its place while a program writes between the reads', () => {
    const world = new TreeWorld();
    world.put('buffer_size_kb', '8');
    for (let i = 0; i < 100; i++) world.put('trace_marker', `number ${i}`);
    const file = world.opened('trace', 'r');
    const seen: number[] = [];
    let contents = '';
    for (let i = 100, piece = file.read(500); piece !== ''; piece = file.read(500)) {
      contents += piece;
      for (const end = i + 20; i < end; i++) world.put('trace_marker', `number ${i}`);
    }
    for (const [, number] of contents.matchAll(/number (\d+)\n/g)) seen.push(Number(number));
    expect(seen.length).toBeGreaterThan(50);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(new Set(seen).size).toBe(seen.length);
  });

  test('stops recording while it is open with the option pause-on-trace', () => {
    const world = new TreeWorld();
    world.put('trace_options', 'pause-on-trace');
    const file = world.opened('trace', 'r');
    world.put('options/pause-on-trace', '0');
    world.opened('trace', 'r').close();
    expect(world.put('trace_marker', 'lost')).toBe('EBADF');
    expect(world.cat('tracing_on')).toBe('1\n');
    file.close();
    expect(world.put('trace_marker', 'kept')).toBe(4);
  });

  test('has the columns that the options say', () => {
    const world = new TreeWorld();
    world.put('trace_marker', 'one');
    world.put('trace_options', 'noirq-info');
    expect(world.cat('trace')).toContain(
      '#           TASK-PID     CPU#     TIMESTAMP  FUNCTION\n#              | |         |         |         |\n' +
        '            prog-42      [000]    100.000000: tracing_mark_write: one\n',
    );
    world.put('trace_options', 'nocontext-info');
    expect(world.cat('trace')).toBe('# tracer: nop\n#\ntracing_mark_write: one\n');
  });

  test('overwrites the oldest, or with the option off refuses the newest', () => {
    const world = new TreeWorld();
    world.put('buffer_size_kb', '8');
    const fill = () => {
      for (let i = 0; i < 600; i++) world.put('trace_marker', `number ${i}`);
      return texts(world.cat('trace'));
    };
    expect(fill().at(-1)).toBe('number 599');
    world.put('options/overwrite', '0');
    world.put('trace', '', { truncate: true });
    expect(fill()[0]).toBe('number 0');
    expect(world.cat('per_cpu/cpu0/stats')).toMatch(/dropped events: [1-9]/);
  });
});

describe('trace_marker', () => {
  test('prints a line for each write, and no line end twice', () => {
    const world = new TreeWorld();
    for (const written of ['a', 'b\n', 'c\nd', 'x\0y']) world.put('trace_marker', written);
    const [, contents = ''] = world.cat('trace').split('|         |\n');
    expect(contents.replaceAll(/ *prog.*: tracing/g, 'tracing')).toBe(
      'tracing_mark_write: a\ntracing_mark_write: b\ntracing_mark_write: c\nd\ntracing_mark_write: x',
    );
  });

  test('takes as much of a long write as a sub-buffer holds', () => {
    const world = new TreeWorld();
    expect(world.put('trace_marker', 'z'.repeat(4054))).toBe(4054);
    expect(world.put('trace_marker', 'z'.repeat(5000))).toBe(4054);
    expect(texts(world.cat('trace')).map((line) => line.length)).toEqual([4054, 4054]);
  });

  test('answers EBADF while tracing is off and EINVAL without the option markers', () => {
    const world = new TreeWorld();
    world.put('tracing_on', '0');
    expect(world.put('trace_marker', 'one')).toBe('EBADF');
    world.put('trace_options', 'nomarkers');
    expect(world.put('trace_marker', 'one')).toBe('EINVAL');
  });
});
