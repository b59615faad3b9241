import { describe, expect, it } from 'vitest';
import { COMMAND_SIZE_MAX, commandFromBytes, declaredSize, decodeUserReg, decodeUserUnreg } from './ioctl.ts';

interface RegBytes {
  size?: number;
  bit?: number;
  enableSize?: number;
  flags?: number;
  address?: bigint;
  length?: number;
}

function userReg({
  size = 28,
  bit = 31,
  enableSize = 4,
  flags = 0,
  address = 0x1000n,
  length = size,
}: RegBytes): Uint8Array {
  const bytes = new Uint8Array(Math.max(28, length));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, size, true);
  view.setUint8(4, bit);
  view.setUint8(5, enableSize);
  view.setUint16(6, flags, true);
  view.setBigUint64(8, address, true);
  view.setBigUint64(16, 0x2000n, true);
  return bytes.subarray(0, length);
}

const userUnreg = (reservedAt?: number): Uint8Array => {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 16, true);
  view.setUint8(4, 7);
  view.setBigUint64(8, 0x1234n, true);
  if (reservedAt !== undefined) view.setUint8(reservedAt, 1);
  return bytes;
};

describe('decodeUserReg()', () => {
  it('reads a request', () => {
    expect(decodeUserReg(userReg({ enableSize: 8, bit: 63, flags: 3 }))).toEqual({
      enableBit: 63,
      enableSize: 8,
      enableAddress: 0x1000n,
      persist: true,
      multiFormat: true,
      nameAddress: 0x2000n,
    });
  });

  it('takes a longer structure whose unknown bytes are zero', () => {
    expect(decodeUserReg(userReg({ size: 4096 }))).toMatchObject({ enableBit: 31 });
  });

  it.each([
    ['a size that cannot be read', { length: 3 }, 'EFAULT'],
    ['a size over a page', { size: 4097 }, 'E2BIG'],
    ['a size under the first version', { size: 27, length: 28 }, 'EINVAL'],
    ['memory that ends early', { size: 64, length: 40 }, 'EFAULT'],
    ['an unknown flag', { flags: 4 }, 'EINVAL'],
    ['a word that is neither 4 nor 8 bytes', { enableSize: 2 }, 'EINVAL'],
    ['a word off its alignment', { address: 0x1004n, enableSize: 8, bit: 1 }, 'EINVAL'],
    ['a bit outside the word', { bit: 32 }, 'EINVAL'],
    ['an address above user space', { address: 0x7fff_ffff_f008n }, 'EFAULT'],
    ['a bad bit at an address above user space', { bit: 32, address: 1n << 63n }, 'EINVAL'],
  ] as const)('refuses %s', (_, bytes, errno) => {
    expect(decodeUserReg(userReg(bytes))).toBe(errno);
  });

  it('refuses unknown bytes that are not zero', () => {
    const bytes = userReg({ size: 29 });
    bytes[28] = 1;
    expect(decodeUserReg(bytes)).toBe('E2BIG');
  });

  it("takes the end of user space for a user's address, as the kernel does", () => {
    expect(decodeUserReg(userReg({ address: 0x7fff_ffff_f000n }))).toMatchObject({
      enableAddress: 0x7fff_ffff_f000n,
    });
  });
});

describe('decodeUserUnreg()', () => {
  it('reads a request', () => {
    expect(decodeUserUnreg(userUnreg())).toEqual({ disableBit: 7, disableAddress: 0x1234n });
    expect(declaredSize(userUnreg())).toBe(16);
  });

  it.each([5, 6, 7])('refuses a value in the reserved byte %d', (at) => {
    expect(decodeUserUnreg(userUnreg(at))).toBe('EINVAL');
  });
});

describe('commandFromBytes()', () => {
  it('takes the text before the NUL, one character a byte', () => {
    expect(commandFromBytes(Uint8Array.of(0x61, 0xff, 0, 0x62))).toBe('a\xff');
    expect(commandFromBytes(Uint8Array.of(0))).toBe('');
  });

  it('refuses text that is too long, and memory that ends before the NUL', () => {
    const long = new Uint8Array(COMMAND_SIZE_MAX).fill(0x61);
    expect(commandFromBytes(long)).toEqual({ errno: 'EINVAL' });
    expect(commandFromBytes(long.subarray(1))).toEqual({ errno: 'EFAULT' });
  });
});
