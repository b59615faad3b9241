import { describe, expect, test } from 'vitest';
import { TreeWorld, eventBytes } from './tree-world.sim.ts';

const HEADER_LINES = 12;
const lines = (contents: string) => contents.split('\n').slice(HEADER_LINES, -1);

describe('the tree', () => {
  test('has the files of a kernel without other tracers', () => {
    const world = new TreeWorld();
    expect(world.list('')?.toSorted()).toEqual([
      'README',
      'available_events',
      'available_tracers',
      'buffer_percent',
      'buffer_size_kb',
      'buffer_subbuf_size_kb',
      'buffer_total_size_kb',
      'current_tracer',
      'dynamic_events',
      'error_log',
      'events',
      'instances',
      'options',
      'per_cpu',
      'printk_formats',
      'saved_cmdlines',
      'saved_cmdlines_size',
      'saved_tgids',
      'set_event',
      'timestamp_mode',
      'trace',
      'trace_clock',
      'trace_marker',
      'trace_options',
      'trace_pipe',
      'tracing_on',
      'user_events_data',
      'user_events_status',
      'user_events_unsettled',
    ]);
    expect(world.list('per_cpu')).toEqual(['cpu0', 'cpu1']);
    expect(world.list('per_cpu/cpu1')).toEqual([
      'buffer_size_kb',
      'stats',
      'trace',
      'trace_pipe',
      'trace_pipe_raw',
    ]);
    expect(world.list('events')).toEqual(['enable', 'header_page', 'header_event', 'ftrace']);
  });

  test('gives every file the permission bits of the kernel', () => {
    const world = new TreeWorld();
    const modes = [
      'trace',
      'trace_pipe',
      'trace_marker',
      'events',
      'options',
      'user_events_data',
      'set_event',
    ];
    expect(modes.map((name) => world.node(name)?.mode.toString(8))).toEqual([
      '640',
      '440',
      '220',
      '755',
      '750',
      '640',
      '640',
    ]);
  });

  test('answers the same object for the same path', () => {
    const world = new TreeWorld();
    world.put('dynamic_events', 'u:ev u32 a');
    for (const path of [
      'trace',
      'events/user_events',
      'events/user_events/ev/enable',
      'per_cpu/cpu0/stats',
    ]) {
      expect(world.node(path)).toBe(world.node(path));
    }
  });

  test('shows what a program writes, from the enable to the line', () => {
    const world = new TreeWorld();
    const program = world.register('ev u32 count');
    expect(world.put('events/user_events/ev/enable', '1\n')).toBe(2);
    world.nowNs = 1_500_000;
    expect(program.write(world.caller.tid, eventBytes(7))).toBe(8);
    world.settle();
    expect(world.cat('trace')).toBe(
      '# tracer: nop\n#\n# entries-in-buffer/entries-written: 1/1   #P:2\n#\n' +
        '#                                _-----=> irqs-off/BH-disabled\n' +
        '#                               / _----=> need-resched\n' +
        '#                              | / _---=> hardirq/softirq\n' +
        '#                              || / _--=> preempt-depth\n' +
        '#                              ||| / _-=> migrate-disable\n' +
        '#                              |||| /     delay\n' +
        '#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n' +
        '#              | |         |   |||||     |         |\n' +
        '            prog-42      [000] .....   100.001500: ev: count=0x7 (7)\n',
    );
    expect(world.cat('saved_cmdlines')).toBe('42 prog\n');
    expect(world.cat('user_events_status')).toBe('ev # Used by ftrace\n\nActive: 1\nBusy: 1\n');
  });

  test('switches on the events that are wanted as they come', () => {
    const world = new TreeWorld();
    world.tree.enableNew((system, name) => system === 'user_events' && name.startsWith('wanted'));
    world.register('wanted_one u32 a');
    world.register('other u32 a');
    expect(world.cat('set_event')).toBe('user_events:wanted_one\n');
  });

  test('shows a renamed task under its new name once it writes again', () => {
    const world = new TreeWorld();
    world.put('trace_marker', 'one');
    world.commands.set(42, 'renamed');
    world.elapse();
    expect(lines(world.cat('trace'))[0]).toContain('prog-42');
    world.put('trace_marker', 'two');
    expect(lines(world.cat('trace'))[1]).toContain('renamed-42');
  });

  test('keeps as many names as saved_cmdlines_size says', () => {
    const world = new TreeWorld();
    expect(world.cat('saved_cmdlines_size')).toBe('6552\n');
    expect(world.put('saved_cmdlines_size', '0')).toBe('EINVAL');
    expect(world.put('saved_cmdlines_size', '32769')).toBe('EINVAL');
    const sizes = ['2', '6553', '19660', '32768', '6552'].map((written) => {
      world.put('saved_cmdlines_size', written);
      return world.cat('saved_cmdlines_size');
    });
    // As many as fit into the pages that the kernel takes for them.
    expect(sizes).toEqual(['6552\n', '19659\n', '45874\n', '45874\n', '6552\n']);
    world.put('trace_marker', 'one');
    expect(world.cat('saved_cmdlines')).toBe('42 prog\n');
  });

  test('shows processes with the option record-tgid', () => {
    const world = new TreeWorld();
    world.put('trace_options', 'record-tgid');
    world.put('trace_marker', 'one');
    expect(lines(world.cat('trace'))[0]).toBe(
      '            prog-42      (     41) [000] .....   100.000000: tracing_mark_write: one',
    );
    expect(world.cat('saved_tgids')).toBe('42 41\n');
  });
});

describe('dynamic_events', () => {
  test('takes a command from each line and ignores comments', () => {
    const world = new TreeWorld();
    const written = '# two events\nu:one u32 a# first\n\nu:two\n';
    expect(world.put('dynamic_events', written)).toBe(written.length);
    expect(world.cat('dynamic_events').split('\n').toSorted()).toEqual(['', 'u:one u32 a', 'u:two']);
    expect(world.put('dynamic_events', '-:one u32 a\n')).toBe(12);
    expect(world.cat('dynamic_events')).toBe('u:two\n');
  });

  test('keeps what the lines before a bad one did', () => {
    const world = new TreeWorld();
    expect(world.put('dynamic_events', 'u:one\ngarbage\nu:two\n')).toBe('EINVAL');
    expect(world.cat('dynamic_events')).toBe('u:one\n');
  });

  test('refuses a text with a zero byte, and a line longer than the kernel takes', () => {
    const world = new TreeWorld();
    expect(world.put('dynamic_events', 'u:one\0')).toBe('EINVAL');
    expect(world.put('dynamic_events', `u:two ${' '.repeat(4096)}\n`)).toBe('EINVAL');
    expect(world.cat('dynamic_events')).toBe('');
  });

  test('removes all events when opened with O_TRUNC, unless one is in use', () => {
    const world = new TreeWorld();
    world.put('dynamic_events', 'u:one\nu:two\n');
    world.put('events/user_events/two/enable', '1');
    expect(world.put('dynamic_events', 'u:three', { truncate: true })).toBe('EBUSY');
    expect(world.list('events/user_events')).toEqual(['enable', 'filter', 'one', 'two']);
    world.put('events/user_events/two/enable', '0');
    expect(world.put('dynamic_events', 'u:three', { truncate: true })).toBe(7);
    expect(world.cat('dynamic_events')).toBe('u:three\n');
  });
});

describe('events of the past', () => {
  test('clears the buffer when an event is removed that was on', () => {
    const world = new TreeWorld();
    world.put('dynamic_events', 'u:ev u32 a');
    const program = world.register('ev u32 a');
    world.put('events/user_events/ev/enable', '1');
    program.write(world.caller.tid, eventBytes(1));
    world.put('events/user_events/ev/enable', '0');
    program.release();
    world.domain.taskExited(world.caller.tid);
    world.settle();
    world.directory('instances').makeDirectory?.('other');
    world.put('instances/other/trace_marker', 'stays');
    expect(lines(world.cat('trace'))).toHaveLength(1);
    world.put('dynamic_events', '-:ev u32 a');
    expect(lines(world.cat('trace'))).toEqual([]);
    expect(lines(world.cat('instances/other/trace'))).toHaveLength(1);
  });
});
