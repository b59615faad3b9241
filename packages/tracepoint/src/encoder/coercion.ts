/**
 * Values as the encoders want them. A program that passes something else than its types say is traced all the same: the value
 * becomes one of the field's type, as a string or a number would, and nothing is thrown. Here the program's own code may
 * run (valueOf, toString), which may emit events itself: so all values are made before a lane is looked at.
 */
import { types } from 'node:util';
import type { Storage } from '../field-type.ts';

const NO_BYTES = new Uint8Array(0);

const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;
// They are called with the array as `this`.
/* oxlint-disable typescript/unbound-method */
const lengthGetter = Object.getOwnPropertyDescriptor(typedArray, 'length')?.get as () => number;
const bufferGetter = Object.getOwnPropertyDescriptor(typedArray, 'buffer')?.get as () => ArrayBufferLike;
const kindGetter = Object.getOwnPropertyDescriptor(typedArray, Symbol.toStringTag)?.get as () =>
  | string
  | undefined;

/* oxlint-enable typescript/unbound-method */

/** The length of a Uint8Array, whatever a subclass says it is; 0 when its buffer is gone. */
export function lengthOf(bytes: Uint8Array): number {
  return lengthGetter.call(bytes);
}

/** Whether a value is a Uint8Array, and not a proxy or something that only inherits from it. */
export function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && kindGetter.call(value) === 'Uint8Array';
}

/** Whether no other thread can change an array's length between two looks at it. */
export function isUnshared(bytes: Uint8Array): boolean {
  return bufferGetter.call(bytes) instanceof ArrayBuffer;
}

/** A number of 32 bits. */
export function integerOf(value: unknown): number {
  try {
    return typeof value === 'bigint' ? Number(BigInt.asIntN(32, value)) : Number(value) | 0;
  } catch {
    return 0;
  }
}

/** A bigint, or a number for what is not one. */
export function longOf(value: unknown): number | bigint {
  if (typeof value === 'bigint') return value;
  try {
    return Number(value);
  } catch {
    return 0;
  }
}

/** A double. */
export function doubleOf(value: unknown): number {
  try {
    return Number(value);
  } catch {
    return Number.NaN;
  }
}

/** Text. */
export function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return '';
  }
}

/** Bytes: those of any view or buffer; nothing for what has none. */
export function bytesOf(value: unknown): Uint8Array {
  try {
    if (isBytes(value)) return value;
    if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return types.isAnyArrayBuffer(value) ? new Uint8Array(value) : NO_BYTES;
  } catch {
    return NO_BYTES;
  }
}

/** A value as a field of this storage takes it. */
export function coerced(storage: Storage, value: unknown): unknown {
  switch (storage) {
    case 'integer':
      return typeof value === 'number' ? value | 0 : integerOf(value);
    case 'long':
      return typeof value === 'number' ? value : longOf(value);
    case 'double':
      return typeof value === 'number' ? value : doubleOf(value);
    case 'text':
    case 'fixed-text':
      return typeof value === 'string' ? value : textOf(value);
    default:
      return isBytes(value) ? value : bytesOf(value);
  }
}
