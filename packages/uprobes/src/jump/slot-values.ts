/** The values of a hit that a trampoline has stored, as they would have been fetched at a breakpoint. */

import type { FetchedValue } from '../breakpoint/fetching.ts';
import type { FetchArgument } from '../definition/fetch-argument.ts';
import { memoryOffsets } from '../definition/fetch-argument.ts';
import { typedNumber } from '../record/typed-value.ts';
import { SLOT } from '../trampoline/lane-layout.ts';
import { slotLayout, TEXT_BYTES_MAX, type ValuePlace } from '../trampoline/trampoline.ts';

/** Bytes of a text's length in a slot. */
const TEXT_HEADER = 8;

/**
 * @param slot a copy of it
 * @returns in the order of the arguments; undefined where memory could not be read
 */
export function slotValues(fetched: readonly FetchArgument[], slot: Buffer): FetchedValue[] {
  return slotLayout(fetched).places.map((place, index) => {
    const fault = ((slot[SLOT.faults + (index >> 3)] as number) >> (index & 7)) & 1;
    return fault === 1 ? undefined : valueAt(place, slot);
  });
}

function valueAt({ argument, offset }: ValuePlace, slot: Buffer): FetchedValue {
  const { source, type } = argument;
  if (source.kind === 'text') return source.text;
  if (source.kind === 'comm' || (memoryOffsets(argument).length > 0 && type.basic.isText))
    return textAt(slot, offset);
  if (type.count === undefined) return typedNumber(slot.readBigUInt64LE(offset), type);
  const { size } = type.basic;
  return Array.from({ length: type.count }, (_, index) => {
    const bytes = Buffer.alloc(8);
    slot.copy(bytes, 0, offset + index * size, offset + (index + 1) * size);
    return typedNumber(bytes.readBigUInt64LE(0), type);
  });
}

/** Up to its end mark. Without one it was cut, or ends where memory does, which the kernel calls a fault. */
function textAt(slot: Buffer, offset: number): string | undefined {
  const count = Number(BigInt.asUintN(53, slot.readBigUInt64LE(offset)));
  const bytes = slot.subarray(offset + TEXT_HEADER, offset + TEXT_HEADER + Math.min(count, TEXT_BYTES_MAX));
  const end = bytes.indexOf(0);
  if (end < 0 && bytes.length < TEXT_BYTES_MAX) return undefined;
  return bytes.subarray(0, end < 0 ? bytes.length : end).toString('latin1');
}
