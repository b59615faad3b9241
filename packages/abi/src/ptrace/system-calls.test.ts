import { describe, expect, it } from 'vitest';
import { systemCall, systemCallByName, systemCallName, systemCallNumber } from './system-calls.ts';

describe('systemCall()', () => {
  it('knows the calls of x86-64 by number and by name', () => {
    expect(systemCallName(0)).toBe('read');
    expect(systemCallName(59)).toBe('execve');
    expect(systemCallName(435)).toBe('clone3');
    expect(systemCallName(9999)).toBe('syscall_9999');
    expect(systemCallByName('getppid')?.number).toBe(110);
    expect(systemCallByName('no_such_call')).toBeUndefined();
    expect(systemCall(110)?.argumentKinds).toEqual([]);
    expect(systemCallNumber('mmap')).toBe(9);
    expect(() => systemCallNumber('no_such_call')).toThrow('a system call is called no_such_call');
  });
});
