import { systemCallByName } from '@usertrace/abi';
import { describe, expect, it } from 'vitest';
import { filterNumbers, parseSelection } from './selection.ts';

function numbers(...names: string[]): number[] {
  return names.map((name) => systemCallByName(name)?.number ?? -1).toSorted((a, b) => a - b);
}

describe('parseSelection()', () => {
  it('reads kinds and system calls, in one list or several', () => {
    const { kinds, calls } = parseSelection(['exec, exit', 'syscall:openat,close', 'syscall:read']);
    expect([...kinds]).toEqual(['exec', 'exit']);
    expect(calls).toEqual(numbers('openat', 'close', 'read'));
  });

  it('takes a kind for a kind also behind a system call', () => {
    const { kinds, calls } = parseSelection(['syscall:openat,clone']);
    expect([...kinds]).toEqual(['clone']);
    expect(calls).toEqual(numbers('openat'));
    expect(parseSelection(['syscall:clone']).calls).toEqual(numbers('clone'));
  });

  it('has all system calls when one item asks for all', () => {
    expect(parseSelection(['syscall:openat', 'syscall']).calls).toBe('all');
    expect(parseSelection(['exec']).calls).toBe('none');
  });

  it.each([
    ['syscall:opnat', /no system call "opnat"; did you mean openat/],
    ['syscall:opn', /did you mean open\?/],
    ['syscall:', /no system call ""/],
    ['sgnal', /no event "sgnal"; did you mean signal\?/],
    ['openat', /write syscall:openat/],
    ['exec,', /no event ""/],
  ])('refuses %s as a wrong use, with what may have been meant', (text, message) => {
    expect(() => parseSelection([text])).toThrow(message);
    expect(() => parseSelection([text])).toThrow(expect.objectContaining({ exitCode: 2 }));
  });
});

describe('filterNumbers()', () => {
  it('gives the calls of a list that a filter can hold', () => {
    expect(filterNumbers(parseSelection(['syscall:openat']))).toEqual(numbers('openat'));
    expect(filterNumbers(parseSelection(['syscall']))).toBeUndefined();
    expect(filterNumbers(parseSelection(['exec']))).toBeUndefined();
  });
});
