import { describe, expect, test } from 'vitest';
import { TreeWorld } from './tree-world.sim.ts';

/** Writes each text and says what the write answered and what the file says then. */
function responses(world: TreeWorld, path: string, texts: readonly string[]): unknown[] {
  return texts.map((written) => [world.put(path, written), world.cat(path).trim()]);
}

describe('buffer sizes', () => {
  test('are small at the top until something is traced', () => {
    const world = new TreeWorld();
    expect(world.cat('buffer_size_kb')).toBe('7 (expanded: 1408)\n');
    expect(world.cat('buffer_total_size_kb')).toBe('14 (expanded: 2816)\n');
    expect(world.cat('per_cpu/cpu0/buffer_size_kb')).toBe('7\n');
    world.put('dynamic_events', 'u:ev');
    world.put('set_event', 'ev');
    expect(world.cat('buffer_size_kb')).toBe('1410\n');
    expect(world.cat('buffer_total_size_kb')).toBe('2820\n');
  });

  test('are those that whole sub-buffers give', () => {
    const world = new TreeWorld();
    world.directory('instances').makeDirectory?.('a');
    expect(world.cat('instances/a/buffer_size_kb')).toBe('1410\n');
    expect(
      responses(world, 'instances/a/buffer_size_kb', ['0', '1', '100\n', '8', ' 8', 'x', '4000000000']),
    ).toEqual([
      ['EINVAL', '1410'],
      [1, '7'],
      [4, '103'],
      [1, '11'],
      ['EINVAL', '11'],
      ['EINVAL', '11'],
      ['ENOMEM', '11'],
    ]);
  });

  test('of one CPU can differ', () => {
    const world = new TreeWorld();
    world.put('buffer_size_kb', '100');
    world.put('per_cpu/cpu0/buffer_size_kb', '50');
    expect(world.cat('buffer_size_kb')).toBe('X\n');
    expect(world.cat('per_cpu/cpu0/buffer_size_kb')).toBe('51\n');
    expect(world.cat('buffer_total_size_kb')).toBe('154\n');
  });

  test('of sub-buffers and the percentage take what the kernel takes', () => {
    const world = new TreeWorld();
    expect(responses(world, 'buffer_subbuf_size_kb', ['4', '3', '0', '8'])).toEqual([
      [1, '4'],
      [1, '4'],
      ['EINVAL', '4'],
      ['EINVAL', '4'],
    ]);
    expect(responses(world, 'buffer_percent', ['0', '100', '101'])).toEqual([
      [1, '0'],
      [3, '100'],
      ['EINVAL', '100'],
    ]);
  });
});

describe('settings', () => {
  test('tracing_on takes every number but 0 as on', () => {
    const world = new TreeWorld();
    expect(responses(world, 'tracing_on', ['0', '2', '0\n', 'y', '-1', '1'])).toEqual([
      [1, '0'],
      [1, '1'],
      [2, '0'],
      ['EINVAL', '0'],
      ['EINVAL', '0'],
      [1, '1'],
    ]);
  });

  test('trace_clock changes the times and empties the buffer', () => {
    const world = new TreeWorld();
    const names = 'local global counter uptime perf mono mono_raw boot tai';
    const said = (name: string) => names.replace(new RegExp(`\\b${name}\\b`), `[${name}]`);
    world.put('trace_marker', 'one');
    expect(responses(world, 'trace_clock', ['bogus', ' mono\n', 'perf x', 'counter'])).toEqual([
      ['EINVAL', said('local')],
      [6, said('mono')],
      ['EINVAL', said('mono')],
      [7, said('counter')],
    ]);
    expect(world.cat('trace')).toContain('entries-written: 0/0');
    const pipe = world.opened('trace_pipe', 'r');
    world.put('trace_marker', 'two');
    expect(pipe.read()).toBe('            prog-42      [000] .....            1: tracing_mark_write: two\n');
    world.put('trace_clock', 'uptime');
    world.nowNs = 2_340_000_000;
    world.put('trace_marker', 'three');
    expect(pipe.read()).toContain('        10234: tracing_mark_write: three\n');
    world.put('trace_clock', 'boot');
    world.put('trace_marker', 'four');
    expect(pipe.read()).toContain('   102.340000: tracing_mark_write: four\n');
  });

  test('current_tracer takes only nop', () => {
    const world = new TreeWorld();
    expect(world.cat('available_tracers')).toBe('nop\n');
    expect(responses(world, 'current_tracer', ['nop\n', ' nop', 'function'])).toEqual([
      [4, 'nop'],
      [4, 'nop'],
      ['EINVAL', 'nop'],
    ]);
    // The kernel looks at 100 bytes.
    expect(world.put('current_tracer', `nop${' '.repeat(97)}x`)).toBe(101);
    expect(world.put('current_tracer', `nop${' '.repeat(96)}x`)).toBe('EINVAL');
  });

  test('trace_options takes names with and without "no"', () => {
    const world = new TreeWorld();
    const answers = ['nooverwrite', ' overwrite \n', 'bogus', 'nobogus', '', 'overwrite annotate'].map(
      (written) => world.put('trace_options', written),
    );
    expect(answers).toEqual([11, 12, 'EINVAL', 'EINVAL', 'EINVAL', 'EINVAL']);
    expect(world.put('trace_options', 'test_nop_refuse')).toBe('EINVAL');
    expect(world.put('trace_options', 'x'.repeat(64))).toBe('EINVAL');
    world.put('trace_options', 'nomarkers');
    expect(world.cat('trace_options')).toContain('\nirq-info\nnomarkers\nnoevent-fork\n');
    expect(world.cat('options/markers')).toBe('0\n');
  });

  test('options has a file for each', () => {
    const world = new TreeWorld();
    expect(responses(world, 'options/overwrite', ['0', '1\n', '2', 'x', ' 1'])).toEqual([
      [1, '0'],
      [2, '1'],
      ['EINVAL', '1'],
      ['EINVAL', '1'],
      ['EINVAL', '1'],
    ]);
    world.directory('instances').makeDirectory?.('a');
    const topOnly = world
      .list('options')
      ?.filter((name) => world.node(`instances/a/options/${name}`) === undefined);
    expect(topOnly).toEqual(['trace_printk', 'printk-msg-only', 'record-cmd']);
    expect(world.cat('instances/a/options/trace_printk_dest')).toBe('0\n');
  });

  test('error_log keeps the last eight and is emptied by O_TRUNC', () => {
    const world = new TreeWorld();
    world.put('dynamic_events', 'u:ev');
    for (let i = 0; i < 10; i++) world.put('events/user_events/ev/filter', `f == ${i}`);
    const commands = [...world.cat('error_log').matchAll(/Command: (.*)\n/g)].map(([, command]) => command);
    expect(commands).toEqual([2, 3, 4, 5, 6, 7, 8, 9].map((i) => `f == ${i}`));
    expect(world.put('error_log', '\n', { truncate: true })).toBe(1);
    expect(world.cat('error_log')).toBe('');
  });

  test('stats counts what happened', () => {
    const world = new TreeWorld();
    world.nowNs = 1_000_000;
    world.put('trace_marker', 'one');
    world.nowNs = 2_000_000;
    expect(world.cat('per_cpu/cpu0/stats')).toBe(
      'entries: 1\noverrun: 0\ncommit overrun: 0\nbytes: 28\noldest event ts:   100.001000\n' +
        'now ts:   100.002000\ndropped events: 0\nread events: 0\n',
    );
    expect(world.cat('per_cpu/cpu1/stats')).toContain('oldest event ts:     0.000000\n');
  });
});

describe('instances', () => {
  test('are made and removed, but not while a file is open', () => {
    const world = new TreeWorld();
    const instances = world.directory('instances');
    expect(instances.makeDirectory?.('a')).toBe('made');
    expect(instances.makeDirectory?.('a')).toBe('EEXIST');
    expect(world.list('instances')).toEqual(['a']);
    expect(world.list('instances/a')).toContain('trace_pipe');
    expect(world.list('instances/a')).not.toContain('dynamic_events');
    const open = ['tracing_on', 'trace_pipe', 'per_cpu/cpu0/trace_pipe_raw'].map((name) =>
      world.opened(`instances/a/${name}`, 'r'),
    );
    for (const descriptor of open) {
      expect(instances.removeDirectory?.('a')).toBe('EBUSY');
      descriptor.close();
    }
    const node = world.node('instances/a/trace');
    expect(instances.removeDirectory?.('a')).toBe('removed');
    expect(instances.removeDirectory?.('a')).toBe('ENOENT');
    expect(world.list('instances')).toEqual([]);
    const reading = { readable: true, writable: false, nonBlocking: false, append: false, truncate: false };
    expect(node?.kind === 'file' && node.open(world.caller, reading)).toBe('ENODEV');
  });

  test('stay removable after a file that refused to open', () => {
    const world = new TreeWorld();
    const instances = world.directory('instances');
    instances.makeDirectory?.('a');
    const pipe = world.opened('instances/a/trace_pipe', 'r');
    expect(world.open('instances/a/trace_pipe', 'r')).toBe('EBUSY');
    pipe.close();
    expect(instances.removeDirectory?.('a')).toBe('removed');
  });

  test('have names of at most 255 bytes', () => {
    const instances = new TreeWorld().directory('instances');
    expect(instances.makeDirectory?.('x'.repeat(256))).toBe('ENAMETOOLONG');
    expect(instances.makeDirectory?.('x'.repeat(255))).toBe('made');
  });

  test('are limited in number', () => {
    const world = new TreeWorld();
    const instances = world.directory('instances');
    for (let i = 0; i < 256; i++) expect(instances.makeDirectory?.(String(i))).toBe('made');
    expect(instances.makeDirectory?.('one more')).toBe('ENOMEM');
  });
});
