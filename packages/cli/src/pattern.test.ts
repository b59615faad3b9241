import { describe, expect, it } from 'vitest';
import { Failure } from './failure.ts';
import { anyEventMatcher, eventMatcher } from './pattern.ts';

describe('eventMatcher()', () => {
  it('takes a pattern without colon as the name of an event in any system', () => {
    const matches = eventMatcher('tick');
    expect(matches('user_events', 'tick')).toBe(true);
    expect(matches('other', 'tick')).toBe(true);
    expect(matches('user_events', 'ticks')).toBe(false);
  });

  it('matches system and event apart when there is a colon', () => {
    const matches = eventMatcher('user_*:req_?');
    expect(matches('user_events', 'req_1')).toBe(true);
    expect(matches('user_events', 'req_12')).toBe(false);
    expect(matches('ftrace', 'req_1')).toBe(false);
  });

  it('knows sets, ranges and negated sets', () => {
    expect(eventMatcher('ev[ab]')('user_events', 'evb')).toBe(true);
    expect(eventMatcher('ev[0-9]')('user_events', 'ev7')).toBe(true);
    expect(eventMatcher('ev[!0-9]')('user_events', 'ev7')).toBe(false);
    expect(eventMatcher('ev[!0-9]')('user_events', 'evx')).toBe(true);
  });

  it('takes characters of regular expressions literally', () => {
    expect(eventMatcher('a.b')('user_events', 'axb')).toBe(false);
    expect(eventMatcher('a.b')('user_events', 'a.b')).toBe(true);
    expect(eventMatcher('a+(b)|{c}^$')('user_events', 'a+(b)|{c}^$')).toBe(true);
    expect(eventMatcher('back\\slash')('user_events', 'back\\slash')).toBe(true);
  });

  it('finds a multi-format event by the name that the program registered', () => {
    expect(eventMatcher('req')('user_events_multi', 'req.1f')).toBe(true);
    expect(eventMatcher('req')('user_events', 'req.1f')).toBe(false);
    expect(eventMatcher('user_events_multi:req.1f')('user_events_multi', 'req.1f')).toBe(true);
  });

  it('answers at once for many stars', () => {
    const start = process.cpuUsage();
    expect(eventMatcher(`${'*'.repeat(200)}b`)('user_events', 'a'.repeat(500))).toBe(false);
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(1000); // Others may keep the machine busy.
  });

  it.each(['', 'ev[', 'ev[]', 'ev[z-a]', 'x'.repeat(1025)])('refuses %j as wrong usage', (pattern) => {
    expect(() => eventMatcher(pattern)).toThrow(Failure);
    try {
      eventMatcher(pattern);
    } catch (error) {
      expect((error as Failure).exitCode).toBe(2);
    }
  });
});

describe('anyEventMatcher()', () => {
  it('matches what one of the patterns matches', () => {
    const matches = anyEventMatcher(['a*', 'b']);
    expect(matches('user_events', 'abc')).toBe(true);
    expect(matches('user_events', 'b')).toBe(true);
    expect(matches('user_events', 'c')).toBe(false);
  });
});
