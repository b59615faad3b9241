import { ErrnoError } from '@usertrace/base';
import { describe, expect, it } from 'vitest';
import { Failure, describeError, errorCode } from './failure.ts';

describe('describeError()', () => {
  it('shows only the message of an expected failure', () => {
    expect(describeError(new Failure('no server runs'))).toBe('no server runs');
    expect(describeError(new ErrnoError('EACCES', 'cannot open /dev/fuse'))).toBe(
      'cannot open /dev/fuse (EACCES)',
    );
  });

  it('shows the stack of a bug', () => {
    expect(describeError(new TypeError('x is not a function'))).toContain('failure.test.ts');
  });
});

describe('errorCode()', () => {
  it('finds the code of system errors and nothing in other values', () => {
    expect(errorCode(new ErrnoError('EBUSY', 'x'))).toBe('EBUSY');
    expect(errorCode(new Error('x'))).toBeUndefined();
    expect(errorCode('ENOENT')).toBeUndefined();
    expect(errorCode(null)).toBeUndefined();
  });
});
