import { describe, expect, it } from 'vitest';
import { eventMatcher, PatternError } from './event-pattern.ts';

describe('eventMatcher()', () => {
  it.each([
    ['http_*', 'http_request', true],
    ['http_*', 'xhttp_request', false],
    ['*request', 'http_request', true],
    ['h?tp_request', 'http_request', true],
    ['[a-h]*', 'http_request', true],
    ['[!a-h]*', 'http_request', false],
    ['user_events:http*', 'http_request', true],
    ['sched:http*', 'http_request', false],
    ['*_*_*', 'http_request', false],
  ])('%s means %s: %s', (pattern, event, isMeant) => {
    expect(eventMatcher(pattern)('user_events', event)).toBe(isMeant);
  });

  it('refuses what is no pattern', () => {
    expect(() => eventMatcher('')).toThrow(PatternError);
    expect(() => eventMatcher('[a')).toThrow(PatternError);
    expect(() => eventMatcher('[z-a]')).toThrow(PatternError);
  });

  it('is done at once with a pattern that has many ways to match', () => {
    const started = process.cpuUsage();
    expect(eventMatcher(`${'*a'.repeat(300)}b`)('user_events', 'a'.repeat(511))).toBe(false);
    expect(process.cpuUsage(started).user / 1000).toBeLessThan(1000); // Others may keep the machine busy.
  });
});
