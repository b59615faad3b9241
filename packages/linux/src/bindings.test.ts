import { openSync, readFileSync, writeSync } from 'node:fs';
import { systemCallNumber } from '@usertrace/abi';
import { ERRNO, ErrnoError } from '@usertrace/base';
import { describe, expect, it } from 'vitest';
import {
  addressOf,
  checked,
  failure,
  lastErrno,
  libc,
  SYSTEM_CALL,
  systemCallError,
  viewOf,
} from './bindings.ts';
import {
  closeDescriptor,
  O,
  openDescriptor,
  readDescriptor,
  readDescriptorAt,
  setNonBlocking,
  writeDescriptor,
} from './descriptor.ts';

describe('libc()', () => {
  it('calls the C library', () => {
    expect(libc().getuid()).toBe(process.getuid?.());
    expect(libc().syscall(SYSTEM_CALL.getppid, 0, 0, 0, 0, 0, 0)).toBe(process.ppid);
  });

  it('answers -1 and leaves the reason in errno', () => {
    expect(libc().close(-1)).toBe(-1);
    expect(lastErrno()).toBe(ERRNO.EBADF);
    expect(failure(libc().close(-1))).toBe(-ERRNO.EBADF);
  });
});

describe('SYSTEM_CALL', () => {
  it('has the numbers of the table of all system calls', () => {
    for (const [name, number] of Object.entries(SYSTEM_CALL))
      expect(systemCallNumber(name), name).toBe(number);
  });
});

describe('checked()', () => {
  it('throws the error by its name, saying what was being done', () => {
    expect(() => checked(libc().close(-1), 'close nothing')).toThrow(ErrnoError);
    expect(() => checked(libc().close(-1), 'close nothing')).toThrow('Cannot close nothing (EBADF)');
  });
});

describe('systemCallError()', () => {
  it('gives the number of an error without a name', () => {
    expect(systemCallError(ERRNO.ENODEV, 'do it').code).toBe('ENODEV');
    expect(systemCallError(131, 'do it').message).toBe('Cannot do it: error number 131 (EIO)');
  });
});

describe('addressOf()', () => {
  it('finds the bytes that viewOf() shows', () => {
    const memory = Buffer.alloc(4096);
    memory.write('usertrace', 100);
    const seen = new Uint8Array(viewOf(addressOf(memory.subarray(100)), 9));
    expect(Buffer.from(seen).toString()).toBe('usertrace');
    seen[0] = 0x55;
    expect(memory.toString('latin1', 100, 109)).toBe('Usertrace');
  });
});

describe('descriptors', () => {
  it('read and write memory given as a buffer or as an address', () => {
    const fds = new Int32Array(16);
    checked(libc().socketpair(1, 1, 0, fds), 'make a socket pair');
    const [near = -1, far = -1] = fds;
    const bytes = Buffer.alloc(4096);
    writeSync(far, 'abcdef');
    expect(readDescriptor(near, bytes, 3)).toBe(3);
    expect(readDescriptor(near, addressOf(bytes) + 3, 100)).toBe(3);
    expect(bytes.toString('latin1', 0, 6)).toBe('abcdef');
    expect(writeDescriptor(near, addressOf(bytes) + 2, 2)).toBe(2);
    expect(readDescriptor(far, bytes, 100)).toBe(2);
    setNonBlocking(far);
    expect(readDescriptor(far, bytes, 100)).toBe(-ERRNO.EAGAIN);
    closeDescriptor(far);
    closeDescriptor(near);
    expect(() => closeDescriptor(near)).toThrow('EBADF');
  });

  it('read at an offset', () => {
    const fd = openSync(import.meta.filename, 'r');
    const bytes = Buffer.alloc(64);
    expect(readDescriptorAt(fd, bytes, 6, 9)).toBe(6);
    expect(bytes.toString('latin1', 0, 6)).toBe(readFileSync(import.meta.filename, 'latin1').slice(9, 15));
    closeDescriptor(fd);
  });

  it('say why a file does not open', () => {
    expect(openDescriptor('/does/not/exist', O.RDONLY)).toBe(-ERRNO.ENOENT);
    expect(openDescriptor('/', O.RDWR)).toBe(-ERRNO.EISDIR);
  });
});
