import { describe, expect, test } from 'vitest';
import { eventBytes, TreeWorld } from './tree-world.sim.ts';

const AVAILABLE = '# Available triggers:\n# traceon traceoff enable_event disable_event\n';
const EV = 'events/user_events/ev';
const OTHER = 'events/user_events/other';

/** A world in which a program has registered `ev u32 a` and `other u32 b`. */
class TriggeredWorld extends TreeWorld {
  readonly #files = { ev: this.register('ev u32 a'), other: this.register('other u32 b') };

  /** Writes a trigger; what the write answered. */
  set(command: string): unknown {
    const answer = this.put(`${EV}/trigger`, command);
    return answer === command.length ? 'taken' : answer;
  }

  write(event: 'ev' | 'other', ...values: number[]): unknown[] {
    return values.map((value) => this.#files[event].write(this.caller.tid, eventBytes(value)));
  }

  /** What a trace has, such as `a1 b2`, which it forgets. */
  taken(path = 'trace'): string {
    const values = [...this.cat(path).matchAll(/([ab])=0x[0-9a-f]+ \((\d+)\)/g)];
    this.opened(path, 'w', { truncate: true }).close();
    return values.map(([, field, value]) => `${field}${value}`).join(' ');
  }

  states(): string {
    return `${this.cat(`${EV}/enable`).trim()} ${this.cat(`${OTHER}/enable`).trim()}`;
  }
}

describe('the trigger file', () => {
  test('lists what it is given as the kernel does, and says what there could be', () => {
    const world = new TriggeredWorld();
    expect(world.cat(`${EV}/trigger`)).toBe(AVAILABLE);
    const lines = [
      ['  traceoff  ', 'traceoff:unlimited\n'],
      ['traceon:', 'traceon:unlimited\n'],
      ['traceoff:2 if a == 1', 'traceoff:count=2 if a == 1\n'],
      ['traceoff:0x10', 'traceoff:count=16\n'],
      ['traceoff:010', 'traceoff:count=8\n'],
      ['traceoff:4294967296', 'traceoff:count=4294967296\n'],
      ['enable_event:user_events:other', 'enable_event:user_events:other:unlimited\n'],
      ['disable_event:user_events:other:3 if a > 1', 'disable_event:user_events:other:count=3 if a > 1\n'],
    ];
    for (const [command = '', shown = ''] of lines) {
      expect([command, world.set(command)]).toEqual([command, 'taken']);
      expect(world.cat(`${EV}/trigger`)).toBe(shown);
      const isEvent = command.includes('event');
      expect(world.set(isEvent ? '!enable_event:user_events:other' : '!traceon if nosuch')).toBe('taken');
      expect(world.cat(`${EV}/trigger`)).toBe(AVAILABLE);
    }
    expect(world.states()).toBe('0 0');
  });

  test('takes one trigger for tracing and one for each event', () => {
    const world = new TriggeredWorld();
    expect([world.set('traceoff'), world.set('traceon:3'), world.set('traceoff if a == 1')]).toEqual([
      'taken',
      'EEXIST',
      'EEXIST',
    ]);
    expect(world.set('enable_event:user_events:other')).toBe('taken');
    expect(world.set('disable_event:user_events:other:1')).toBe('EEXIST');
    expect(world.set('enable_event:user_events:ev')).toBe('taken');
    expect(world.cat(`${EV}/trigger`).split('\n')).toHaveLength(4);
  });

  test.each([
    ['\n', 'EINVAL'],
    ['nosuch', 'EINVAL'],
    ['TRACEOFF', 'EINVAL'],
    ['! traceoff', 'EINVAL'],
    ['traceoff:x', 'EINVAL'],
    ['traceoff:-1', 'EINVAL'],
    ['traceoff:18446744073709551616', 'EINVAL'],
    ['traceoff a > 1', 'EINVAL'],
    ['traceoff if', 'EINVAL'],
    ['traceoff if nosuch == 1', 'EINVAL'],
    ['traceoff if a==1 if a==2', 'EPERM'],
    ['enable_event', 'EINVAL'],
    ['enable_event:user_events', 'EINVAL'],
    ['enable_event:user_events:nosuch', 'EINVAL'],
    ['stacktrace', 'EINVAL'],
    ['snapshot', 'EINVAL'],
    ['hist:keys=a', 'EINVAL'],
    [`traceoff${' '.repeat(4090)}`, 'EINVAL'],
    ['!stacktrace', 'taken'],
    ['!traceon', 'taken'],
  ])('answers to %j as the kernel does', (command, answer) => {
    const world = new TriggeredWorld();
    expect(world.set(command)).toBe(answer);
    expect([world.cat(`${EV}/trigger`), world.states()]).toEqual([AVAILABLE, '0 0']);
  });

  test('says in error_log what is wrong', () => {
    const world = new TriggeredWorld();
    world.set('snapshot');
    world.set('traceoff if nosuch == 1');
    expect(world.cat('error_log').replaceAll(/^\[.*?\] /gm, '')).toBe(
      'event trigger: error: this is no trigger that usertrace knows, or of no event that there is\n' +
        '  Command: snapshot\n           ^\n' +
        'event filter parse error: error: Field not found\n  Command: nosuch == 1\n                  ^\n',
    );
  });
});

describe('a trigger', () => {
  test('stops tracing behind the event that it was for, and starts it again', () => {
    const world = new TriggeredWorld();
    world.put('events/user_events/enable', '1');
    world.set('traceoff if a == 2');
    world.put(`${OTHER}/trigger`, 'traceon if b == 7');
    expect(world.states()).toBe('1* 1*');
    expect(world.write('ev', 1, 2, 3)).toEqual([8, 8, 8]);
    expect([world.taken(), world.cat('tracing_on')]).toEqual(['a1 a2', '0\n']);
    world.write('other', 6, 7, 8);
    world.write('ev', 4);
    expect([world.taken(), world.cat('tracing_on')]).toEqual(['b8 a4', '1\n']);
    world.put(`${OTHER}/trigger`, '!traceon');
    world.put(`${OTHER}/trigger`, 'traceon');
    world.put('tracing_on', '0');
    world.write('other', 9);
    expect(world.taken()).toBe('b9');
  });

  test('counts only what it changed', () => {
    const world = new TriggeredWorld();
    world.put(`${EV}/enable`, '1');
    world.set('traceoff:2');
    for (const left of [1, 1, 0]) {
      world.write('ev', 1);
      expect(world.cat(`${EV}/trigger`)).toBe(`traceoff:count=${left}\n`);
      if (world.taken() === '') world.put('tracing_on', '1');
    }
    world.put('tracing_on', '1');
    world.write('ev', 5, 6);
    expect(world.taken()).toBe('a5 a6');
  });

  test('has a program write an event that is off, and switches others', () => {
    const world = new TriggeredWorld();
    expect(world.write('ev', 0)).toEqual(['EBADF']);
    world.set('enable_event:user_events:other:1 if a == 2');
    expect(world.states()).toBe('0* 0*');
    expect(world.cat('user_events_status')).toContain('ev # Used by ftrace\n');
    expect([...world.write('other', 1), ...world.write('ev', 1, 2), ...world.write('other', 2)]).toEqual([
      8, 8, 8, 8,
    ]);
    expect([world.taken(), world.states(), world.cat('set_event')]).toEqual([
      'b2',
      '0* 1*',
      'user_events:other\nuser_events:ev\n',
    ]);
    world.put(`${OTHER}/enable`, '0');
    expect(world.cat('events/user_events/enable')).toBe('1\n');
    world.write('ev', 2);
    expect(world.states()).toBe('0* 0*');
    world.set('!enable_event:user_events:other');
    expect([world.states(), ...world.write('ev', 0)]).toEqual(['0 0', 'EBADF']);
  });

  test('leaves what it switched on when it is taken away', () => {
    const world = new TriggeredWorld();
    world.put(`${OTHER}/enable`, '1');
    world.set('disable_event:user_events:other if a == 1');
    world.write('other', 1);
    world.write('ev', 1);
    world.write('other', 2);
    expect([world.taken(), world.states()]).toEqual(['b1', '0* 0*']);
    world.set('!disable_event:user_events:other');
    world.set('enable_event:user_events:other');
    world.write('ev', 1);
    world.set('!enable_event:user_events:other');
    expect(world.states()).toBe('0 1');
    world.write('other', 3);
    expect(world.taken()).toBe('b3');
  });

  test('switches its own event before the record is kept', () => {
    const world = new TriggeredWorld();
    world.set('enable_event:user_events:ev if a == 2');
    world.write('ev', 1, 2, 3);
    expect(world.taken()).toBe('a2 a3');
    world.set('!enable_event:user_events:ev');
    world.set('disable_event:user_events:ev if a == 2');
    world.write('ev', 1, 2, 3);
    expect([world.taken(), world.states()]).toEqual(['a1', '0* 0']);
  });

  test('is its instance’s, and goes with it', () => {
    const world = new TriggeredWorld();
    const instances = world.directory('instances');
    instances.makeDirectory?.('one');
    world.put(`instances/one/${EV}/trigger`, 'enable_event:user_events:other');
    expect(world.cat(`${EV}/trigger`)).toBe(AVAILABLE);
    world.write('ev', 1);
    world.write('other', 1);
    expect([world.taken('instances/one/trace'), world.taken()]).toEqual(['b1', '']);
    expect(instances.removeDirectory?.('one')).toBe('removed');
    expect(world.write('ev', 1)).toEqual(['EBADF']);
  });

  test('keeps its event from being removed', () => {
    const world = new TreeWorld();
    world.put('dynamic_events', 'u:ev u32 a');
    world.put(`${EV}/trigger`, 'traceoff');
    expect(world.put('dynamic_events', '-:ev u32 a')).toBe('EBUSY');
    world.put(`${EV}/trigger`, '!traceoff');
    expect(world.put('dynamic_events', '-:ev u32 a')).toBe(10);
  });
});
