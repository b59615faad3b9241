import { describe, expect, it } from 'vitest';
import { mountedAt } from './mount-table.ts';

const TABLE = `\
24 1 254:0 / / rw,relatime - ext4 /dev/vda rw
67 24 0:48 / /tmp/a\\040b rw,nosuid shared:1 master:2 - fuse.usertrace usertrace rw,user_id=0,group_id=0
68 24 0:49 / /mnt rw - tmpfs tmpfs rw
69 68 0:50 / /mnt rw - fuse.sshfs host:/home\\134x rw
`;

describe('mountedAt()', () => {
  it('finds a mount by its directory, whose special characters are escaped', () => {
    expect(mountedAt('/tmp/a b', TABLE)).toEqual({
      mountPoint: '/tmp/a b',
      type: 'fuse.usertrace',
      source: 'usertrace',
    });
  });

  it('takes the mount on top', () => {
    expect(mountedAt('/mnt', TABLE)?.source).toBe('host:/home\\x');
  });

  it('answers undefined where nothing is mounted', () => {
    expect(mountedAt('/tmp', TABLE)).toBeUndefined();
  });
});
