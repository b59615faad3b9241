import { closeSync, openSync } from 'node:fs';
import { checked, libc } from './bindings.ts';
import { closeDescriptor } from './descriptor.ts';
import { describe, expect, it } from 'vitest';
import { peerCredentials } from './peer-credentials.ts';

const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 0o2000001;

describe('peerCredentials()', () => {
  it('says which process and user made a connection', () => {
    const fds = new Int32Array(2);
    checked(libc().socketpair(AF_UNIX, SOCK_STREAM_CLOEXEC, 0, fds), 'make sockets');
    const [one = -1, other = -1] = fds;
    expect(peerCredentials(one)).toEqual({ pid: process.pid, uid: process.geteuid?.() });
    closeDescriptor(one);
    closeDescriptor(other);
  });

  it('refuses what is no socket', () => {
    const fd = openSync('/dev/null', 'r');
    expect(() => peerCredentials(fd)).toThrow('Cannot ask who is connected');
    closeSync(fd);
  });
});
