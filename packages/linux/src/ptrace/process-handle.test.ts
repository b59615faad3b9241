import { expect, it } from 'vitest';
import { ProcessHandle, pidOfHandle } from './process-handle.ts';

it('a process that is there has a handle, one that is not has none', () => {
  const handle = new ProcessHandle(process.pid);
  expect(handle.isThere()).toBe(true);
  handle.close();
  expect(() => new ProcessHandle(0x3fff_fffe)).toThrow(expect.objectContaining({ code: 'ESRCH' }));
});

it('a descriptor that is no pidfd means no process', () => {
  expect(pidOfHandle(1)).toBeUndefined();
  expect(pidOfHandle(-1)).toBeUndefined();
});
