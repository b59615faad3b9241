import { describe, expect, it } from 'vitest';
import { lastEvents, leadingLines } from './trace.ts';

const TRACE = '# tracer: nop\n#\nfirst\nsecond\nthird\n';

describe('lastEvents()', () => {
  it('keeps the header and drops the oldest', () => {
    expect(lastEvents(TRACE, 2)).toBe('# tracer: nop\n#\nsecond\nthird\n');
    expect(lastEvents(TRACE, 9)).toBe(TRACE);
  });

  it('changes nothing without a count', () => {
    expect(lastEvents(TRACE, undefined)).toBe(TRACE);
  });
});

describe('leadingLines()', () => {
  it('cuts after so many lines and counts them', () => {
    expect(leadingLines('a\nb\nc\n', 2)).toEqual({ text: 'a\nb\n', lineCount: 2 });
    expect(leadingLines('a\nb\n', 5)).toEqual({ text: 'a\nb\n', lineCount: 2 });
    expect(leadingLines('', 5)).toEqual({ text: '', lineCount: 0 });
    expect(leadingLines('a\nb\n', Number.POSITIVE_INFINITY)).toEqual({ text: 'a\nb\n', lineCount: 2 });
  });
});
