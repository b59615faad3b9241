import type { ErrnoName } from '@usertrace/base';
import { describe, expect, test } from 'vitest';
import { eventBytes, TreeWorld } from './tree-world.sim.ts';

const SYSTEM_TEXT =
  '### global filter ###\n' +
  '# Use this to set filters for multiple events.\n' +
  '# Only events with the given fields will be affected.\n' +
  '# If no events are modified, an error message will be displayed here\n';
const EV = 'events/user_events/ev';
const SYSTEM_ERROR = "Couldn't find or set field in one of a subsystem's events";

/** A world in which a program has registered `ev u32 a`, which is on, and writes values to it. */
class FilteredWorld extends TreeWorld {
  readonly #file = this.register('ev u32 a');

  constructor() {
    super();
    this.put(`${EV}/enable`, '1');
  }

  /** Writes an event for each value; what the writes answered. */
  write(...values: number[]): (number | ErrnoName)[] {
    return values.map((value) => this.#file.write(this.caller.tid, eventBytes(value)));
  }

  /** The values in a trace. */
  values(path = 'trace'): string[] {
    return [...this.cat(path).matchAll(/a=0x[0-9a-f]+ \((\d+)\)/g)].map(([, value]) => value as string);
  }

  /** `error_log` without its times. */
  errors(): string {
    return this.cat('error_log').replaceAll(/^\[ *[\d.]+\] /gm, '');
  }
}

describe('the filter file of a user event', () => {
  test('keeps what it says, and the writer does not notice', () => {
    const world = new FilteredWorld();
    expect(world.cat(`${EV}/filter`)).toBe('none\n');
    expect(world.put(`${EV}/filter`, '  a > 3 && a != 5\n')).toBe(18);
    expect(world.cat(`${EV}/filter`)).toBe('  a > 3 && a != 5\n');
    expect(world.write(3, 4, 5, 6)).toEqual([8, 8, 8, 8]);
    expect(world.values()).toEqual(['4', '6']);
    expect(world.cat('trace')).toContain('entries-in-buffer/entries-written: 2/2');
    expect(world.put(`${EV}/filter`, ' 0 \n')).toBe(4);
    expect(world.cat(`${EV}/filter`)).toBe('none\n');
    world.write(1);
    expect(world.values()).toEqual(['4', '6', '1']);
  });

  test('knows thread, name and CPU of the writer', () => {
    const world = new FilteredWorld();
    for (const filter of ['common_pid == 42', 'comm == "prog"', 'cpu == 0', '!(COMM ~ "p?o*" && CPU != 0)'])
      expect([world.put(`${EV}/filter`, filter), world.write(1)]).toEqual([filter.length, [8]]);
    expect(world.values()).toHaveLength(4);
    for (const filter of ['common_pid != 42', 'comm != "prog"', 'cpu > 0', 'common_type == 0']) {
      world.put(`${EV}/filter`, filter);
      world.write(2);
    }
    expect(world.values()).toHaveLength(4);
  });

  test('is each instance’s own', () => {
    const world = new FilteredWorld();
    world.directory('instances').makeDirectory?.('one');
    world.put(`instances/one/${EV}/enable`, '1');
    world.put(`instances/one/${EV}/filter`, 'a == 2');
    expect([world.cat(`${EV}/filter`), world.cat(`instances/one/${EV}/filter`)]).toEqual([
      'none\n',
      'a == 2\n',
    ]);
    world.write(1, 2);
    expect([world.values(), world.values('instances/one/trace')]).toEqual([['1', '2'], ['2']]);
  });

  test('shows what is wrong, and keeps all records then', () => {
    const world = new FilteredWorld();
    world.put(`${EV}/filter`, 'a == 1');
    expect(world.put(`${EV}/filter`, 'b == 1\n')).toBe('EINVAL');
    expect(world.cat(`${EV}/filter`)).toBe('b == 1\n  ^\nparse_error: Field not found\n\n');
    expect(world.put(`${EV}/filter`, 'a == 1)')).toBe('EPERM');
    expect(world.put(`${EV}/filter`, '\n')).toBe('EINVAL');
    expect(world.cat(`${EV}/filter`)).toBe('\nError: (0)\n\n');
    expect(world.errors()).toBe(
      'event filter parse error: error: Field not found\n  Command: b == 1\n             ^\n' +
        "event filter parse error: error: Too few '('\n  Command: a == 1)\n                 ^\n" +
        'event filter parse error: error: Error\n  Command: \n           ^\n',
    );
    world.write(7);
    expect(world.values()).toEqual(['7']);
  });

  test('of a page or longer is refused without a word, and changes nothing', () => {
    const world = new FilteredWorld();
    world.put(`${EV}/filter`, 'a == 1');
    for (const length of [4096, 1_048_576]) {
      expect(world.put(`${EV}/filter`, `a == 2${' '.repeat(length - 6)}`)).toBe('EINVAL');
      expect(world.put('events/user_events/filter', '0'.repeat(length))).toBe('EINVAL');
    }
    expect([world.cat(`${EV}/filter`), world.errors()]).toEqual(['a == 1\n', '']);
  });

  test('goes with the event', () => {
    const world = new TreeWorld();
    world.put('dynamic_events', 'u:ev u32 a');
    world.put(`${EV}/filter`, 'a == 1');
    const filter = world.opened(`${EV}/filter`, 'w');
    world.put('dynamic_events', '-:ev u32 a');
    expect(filter.beginWrite('a == 2').value).toBe('ENODEV');
    world.put('dynamic_events', 'u:ev u32 a');
    expect(world.cat(`${EV}/filter`)).toBe('none\n');
  });
});

describe('the filter file of a system', () => {
  test('sets the filter of all events that can have it, and tells of the others in their files', () => {
    const world = new FilteredWorld();
    world.put('dynamic_events', 'u:other u32 b');
    const other = 'events/user_events/other/filter';
    world.put(other, 'b == 1');
    expect(world.put('events/user_events/filter', 'a == 4\n')).toBe(7);
    expect(world.cat('events/user_events/filter')).toBe(SYSTEM_TEXT);
    expect(world.cat(`${EV}/filter`)).toBe('a == 4\n');
    expect(world.cat(other)).toBe(`a == 4\n^\nparse_error: ${SYSTEM_ERROR}\n\n`);
    expect(world.errors()).toBe(
      `event filter parse error: error: ${SYSTEM_ERROR}\n  Command: a == 4\n           ^\n`,
    );
    world.write(3, 4);
    expect(world.values()).toEqual(['4']);
    expect(world.put('events/user_events/filter', '0')).toBe(1);
    expect([world.cat(`${EV}/filter`), world.cat(other)]).toEqual(['none\n', 'none\n']);
  });

  test('takes anything, as the kernel does, and says in each event what it cannot be', () => {
    const world = new FilteredWorld();
    for (const written of ['a = 1', '\n', '"', 'a == 1)']) {
      expect(world.put('events/user_events/filter', written)).toBe(written.length);
      expect(world.cat(`${EV}/filter`)).toBe(`${written.trim()}\n^\nparse_error: ${SYSTEM_ERROR}\n\n`);
    }
  });
});
