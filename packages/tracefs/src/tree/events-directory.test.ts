import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { TreeWorld, eventBytes } from './tree-world.sim.ts';

function worldWith(...events: string[]): TreeWorld {
  const world = new TreeWorld();
  for (const event of events) world.put('dynamic_events', `u:${event}`);
  return world;
}

describe('events/SYSTEM', () => {
  test('lists its files, then events in the order they were made', () => {
    const world = worldWith('zebra', 'ape', 'bee');
    expect(world.list('events/user_events')).toEqual(['enable', 'filter', 'zebra', 'ape', 'bee']);
    expect(world.list('events/user_events/ape')).toEqual(['enable', 'filter', 'trigger', 'format', 'id']);
  });

  test('exists while it has an event', () => {
    const world = worldWith();
    expect(world.list('events/user_events')).toBeUndefined();
    world.put('dynamic_events', 'u:ev');
    expect(world.list('events')).toContain('user_events');
    expect(world.list('events')).not.toContain('user_events_multi');
    world.put('dynamic_events', '-:ev');
    expect(world.list('events/user_events')).toBeUndefined();
    expect(world.list('events')).not.toContain('user_events');
  });

  test('has a directory of its own for events of several formats', () => {
    const world = worldWith('ev u8 a');
    world.register('ev u32 a', true);
    world.register('ev u64 a', true);
    expect(world.list('events/user_events')).toEqual(['enable', 'filter', 'ev']);
    expect(world.list('events/user_events_multi')).toEqual(['enable', 'filter', 'ev.0', 'ev.1']);
    expect(world.cat('events/user_events_multi/ev.1/format')).toContain('field:u64 a;\toffset:8;\tsize:8;');
  });

  test('yields names that no directory can hold', () => {
    const world = worldWith('', 'ev');
    expect(world.list('events/user_events')).toEqual(['enable', 'filter', '', 'ev']);
    expect(world.node('events/user_events/ev')?.kind).toBe('directory');
  });

  test('finds an event called enable before the file', () => {
    const world = worldWith('enable');
    expect(world.node('events/user_events/enable')?.kind).toBe('directory');
  });
});

describe('events/SYSTEM/EVENT', () => {
  test('shows the format and the id', () => {
    const world = worldWith('ev u32 count');
    const [event] = world.domain.events;
    expect(world.cat('events/user_events/ev/id')).toBe(`${event?.id}\n`);
    expect(world.cat('events/user_events/ev/format')).toBe(
      `name: ev\nID: ${event?.id}\nformat:\n` +
        '\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n' +
        '\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n' +
        '\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n' +
        '\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n' +
        '\tfield:u32 count;\toffset:8;\tsize:4;\tsigned:0;\n\nprint fmt: "count=%u", REC->count\n',
    );
  });

  test('answers ENODEV when the event is gone while somebody held its file', () => {
    const world = worldWith('ev');
    const node = world.node('events/user_events/ev/id');
    const enable = world.opened('events/user_events/ev/enable', 'w');
    world.put('dynamic_events', '-:ev');
    expect(node?.kind === 'file' && node.open(world.caller, READING)).toBe('ENODEV');
    expect(enable.beginWrite('1').value).toBe('ENODEV');
  });

  test('gives another event of the same name another directory', () => {
    const world = worldWith('ev');
    const directory = world.node('events/user_events/ev');
    world.put('dynamic_events', '-:ev\nu:ev\n');
    expect(world.node('events/user_events/ev')).not.toBe(directory);
  });

  test('is forgotten and made again, but not once chmod or chown changed one of its files', async () => {
    const world = worldWith('ev');
    world.put('dynamic_events', 'u:changed\n');
    const weakly = ['ev', 'changed'].map((name) => {
      const file = world.node(`events/user_events/${name}/enable`);
      if (name === 'changed') file?.keep?.();
      return new WeakRef(world.directory(`events/user_events/${name}`));
    });
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    for (let tries = 0; weakly[0]?.deref() !== undefined && tries < 100; tries++) {
      await setImmediate();
      collectGarbage();
    }
    const [unchanged, changed] = weakly.map((directory) => directory.deref());
    expect(unchanged).toBeUndefined();
    expect(changed).toBe(world.directory('events/user_events/changed'));
  });
});

const READING = { readable: true, writable: false, nonBlocking: false, append: false, truncate: false };

describe('enable', () => {
  test('takes numbers as the kernel does', () => {
    const world = worldWith('ev');
    const answers = ['0', '1', '1\n', '+1', '01', '1\0', '1\n\n', ' 1', '1 ', '-1', '2', 'x', '0x1'].map(
      (written) => world.put('events/user_events/ev/enable', written),
    );
    expect(answers).toEqual([1, 1, 2, 2, 2, 2, ...Array.from({ length: 7 }, () => 'EINVAL')]);
    expect(world.put('events/user_events/ev/enable', '9'.repeat(23))).toBe('ERANGE');
    expect(world.cat('events/user_events/ev/enable')).toBe('1\n');
  });

  test('says of a group whether all, none or some are on', () => {
    const world = worldWith('one', 'two');
    const states = () => [world.cat('events/enable'), world.cat('events/user_events/enable')];
    expect(states()).toEqual(['0\n', '0\n']);
    world.put('events/user_events/one/enable', '1');
    expect(states()).toEqual(['X\n', 'X\n']);
    world.put('events/user_events/enable', '1');
    expect(states()).toEqual(['1\n', '1\n']);
    world.register('one u8 a', true);
    expect(states()).toEqual(['X\n', '1\n']);
    world.put('events/enable', '0');
    expect(states()).toEqual(['0\n', '0\n']);
  });

  test('says ? and takes numbers when there are no events', () => {
    const world = worldWith();
    expect(world.cat('events/enable')).toBe('?\n');
    expect(world.put('events/enable', '1\n')).toBe(2);
    expect(world.put('events/enable', '2')).toBe('EINVAL');
  });

  test('answers when every word shows the new state', () => {
    const world = new TreeWorld();
    world.register('one u32 a');
    world.register('two u32 a');
    world.storesEnd = false;
    const answer = world.opened('events/user_events/enable', 'w').beginWrite('1\n');
    world.settle();
    expect(answer.value).toBeUndefined();
    expect(world.cat('user_events_unsettled')).toMatch(
      /^one address=0x[0-9a-f]+ bit=\d+ state=pending tasks=42\ntwo .*\n$/,
    );
    world.endStores();
    expect(answer.value).toBe(2);
    expect(world.cat('user_events_unsettled')).toBe('');
  });

  test('is each instance of its own', () => {
    const world = new TreeWorld();
    const program = world.register('ev u32 a');
    const instances = world.directory('instances');
    instances.makeDirectory?.('a');
    world.put('instances/a/events/user_events/ev/enable', '1');
    expect(world.cat('events/user_events/ev/enable')).toBe('0\n');
    expect(world.cat('instances/a/events/user_events/enable')).toBe('1\n');
    program.write(world.caller.tid, eventBytes(1));
    expect(world.cat('trace')).toContain('entries-written: 0/0');
    expect(world.cat('instances/a/trace')).toContain('ev: a=0x1 (1)');
    expect(instances.removeDirectory?.('a')).toBe('removed');
    expect(program.write(world.caller.tid, eventBytes(1))).toBe('EBADF');
  });
});

describe('set_event', () => {
  test('lists events the newest first, and in an instance those before it the oldest first', () => {
    const world = worldWith('one', 'two');
    world.directory('instances').makeDirectory?.('a');
    world.put('dynamic_events', 'u:three');
    world.put('dynamic_events', 'u:four');
    expect(world.cat('available_events')).toBe(
      'user_events:four\nuser_events:three\nuser_events:two\nuser_events:one\n',
    );
    world.put('instances/a/set_event', 'user_events');
    expect(world.cat('instances/a/set_event')).toBe(
      'user_events:four\nuser_events:three\nuser_events:one\nuser_events:two\n',
    );
    expect(world.cat('set_event')).toBe('');
  });

  test('switches by event, system, or both, and refuses names that match nothing', () => {
    const world = worldWith('one', 'two');
    const enabledAfter = (written: string) => {
      const answer = world.put('set_event', written);
      return [answer, world.cat('set_event').replaceAll('user_events:', '').trim().split('\n').join(' ')];
    };
    expect(enabledAfter('one')).toEqual([3, 'one']);
    expect(enabledAfter('!one\n')).toEqual([5, '']);
    expect(enabledAfter('user_events')).toEqual([11, 'two one']);
    expect(enabledAfter('!*:two')).toEqual([6, 'one']);
    expect(enabledAfter('user_events:')).toEqual([12, 'two one']);
    expect(enabledAfter('!user_events:*')).toEqual([14, '']);
    expect(enabledAfter(':')).toEqual([1, 'two one']);
    expect(enabledAfter('*')).toEqual(['EINVAL', 'two one']);
    expect(enabledAfter('o*')).toEqual(['EINVAL', 'two one']);
    expect(enabledAfter('x'.repeat(128))).toEqual(['EINVAL', 'two one']);
  });

  test('takes one word of a write and leaves the rest to the next', () => {
    const world = worldWith('one', 'two');
    expect(world.put('set_event', ' one two ')).toBe(5);
    expect(world.cat('set_event')).toBe('user_events:one\n');
    expect(world.put('set_event', ' \n')).toBe(2);
  });

  test('answers a write after O_TRUNC when the words of all that were on have settled', () => {
    const world = new TreeWorld();
    world.register('one u32 a');
    world.put('set_event', 'one');
    world.storesEnd = false;
    const answer = world.opened('set_event', 'w', { truncate: true }).beginWrite('\n');
    world.settle();
    expect(answer.value).toBeUndefined();
    world.endStores();
    expect(answer.value).toBe(1);
  });

  test('switches all off when opened with O_TRUNC', () => {
    const world = worldWith('one', 'two');
    world.put('set_event', 'user_events');
    world.put('set_event', 'one', { truncate: true });
    expect(world.cat('set_event')).toBe('user_events:one\n');
  });
});
