import { expect, it } from 'vitest';
import { StringsImage } from './strings-image.ts';

const BASE = 0x1000n;

function at(address: bigint): number {
  return Number(address - BASE);
}

it('strings and pointers lie where their addresses say', () => {
  const image = new StringsImage(BASE, Buffer.alloc(128));
  const first = image.putString('sh');
  const second = image.putString('größer');
  const array = image.putPointers([first, second]);
  expect(image.bytes.toString('utf8', at(first), at(first) + 3)).toBe('sh\0');
  expect(image.bytes.toString('utf8', at(second), at(second) + 9)).toBe('größer\0');
  expect([array % 8n, second % 8n]).toEqual([0n, 0n]);
  const pointers = [0, 8, 16].map((offset) => image.bytes.readBigUInt64LE(at(array) + offset));
  expect(pointers).toEqual([first, second, 0n]);
});

it('bytes that are no text stay as they are', () => {
  const image = new StringsImage(BASE, Buffer.alloc(128));
  image.putString('a');
  const address = image.putString(Uint8Array.of(0xff, 0x80, 0x61));
  expect([...image.at(address).subarray(0, 4)]).toEqual([0xff, 0x80, 0x61, 0]);
});
