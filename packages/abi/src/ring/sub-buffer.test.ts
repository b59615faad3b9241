import { describe, expect, test } from 'vitest';
import { SUB_BUFFER_DATA_SIZE, SUB_BUFFER_SIZE, readSubBufferHeader, sealSubBuffer } from './sub-buffer.ts';

const sealed = (dataLength: number, lost: number): Uint8Array => {
  const bytes = new Uint8Array(SUB_BUFFER_SIZE).fill(0xff);
  sealSubBuffer(bytes, 77n, dataLength, lost);
  return bytes;
};

describe('sealSubBuffer()', () => {
  test('zeroes what no record has', () => {
    const bytes = sealed(8, 0);
    expect(bytes.subarray(16, 24).every((byte) => byte === 0xff)).toBe(true);
    expect(bytes.subarray(24).every((byte) => byte === 0)).toBe(true);
    expect(readSubBufferHeader(bytes)).toEqual({ timestamp: 77n, dataLength: 8, lost: 0 });
  });

  test('stores the number of lost events behind the records', () => {
    expect(readSubBufferHeader(sealed(4072, 5))).toEqual({ timestamp: 77n, dataLength: 4072, lost: 5 });
  });

  test('only flags lost events when there is no room for their number', () => {
    const bytes = sealed(4076, 5);
    expect(readSubBufferHeader(bytes)).toEqual({ timestamp: 77n, dataLength: 4076, lost: 'unknown' });
    expect(bytes.subarray(16 + 4076).every((byte) => byte === 0)).toBe(true);
  });
});

describe('readSubBufferHeader()', () => {
  test('cuts a commit that is larger than the sub-buffer', () => {
    const bytes = new Uint8Array(SUB_BUFFER_SIZE);
    new DataView(bytes.buffer).setUint32(8, 0xffff_ffff, true);
    expect(readSubBufferHeader(bytes)).toEqual({
      timestamp: 0n,
      dataLength: SUB_BUFFER_DATA_SIZE,
      lost: 'unknown',
    });
  });
});
