import { describe, expect, it } from 'vitest';
import { coloursFor } from './colours.ts';

describe('coloursFor()', () => {
  it('paints on a terminal only', () => {
    expect(coloursFor({ isTTY: true }, { TERM: 'xterm' }).red('x')).not.toBe('x');
    expect(coloursFor({ isTTY: false }, { TERM: 'xterm' }).red('x')).toBe('x');
  });

  it('does what NO_COLOR asks for', () => {
    expect(coloursFor({ isTTY: true }, { TERM: 'xterm', NO_COLOR: '1' }).red('x')).toBe('x');
    expect(coloursFor({ isTTY: true }, { TERM: 'dumb' }).red('x')).toBe('x');
  });
});
