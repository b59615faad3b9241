/** The values of a hit that a trampoline has stored, as they would have been fetched at a breakpoint. */

import type { FetchedValue } from '../breakpoint/fetching.ts';
import type { FetchArgument } from '../definition/fetch-argument.ts';
import type { ValueType } from '../definition/value-type.ts';
import { typedNumber } from '../record/typed-value.ts';
import { SLOT } from '../trampoline/lane-layout.ts';
import { slotLayout, slotText, TEXT_WORD, type ValuePlace } from '../trampoline/slot-layout.ts';

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
  const { isText, size } = type.basic;
  const items = Array.from({ length: type.count ?? 1 }, (_, index) =>
    isText
      ? slotText(slot, offset + index * TEXT_WORD.size)?.toString('latin1')
      : numberAt(slot, offset + index * size, type),
  );
  return type.count === undefined ? items[0] : items;
}

function numberAt(slot: Buffer, offset: number, type: ValueType): bigint {
  const bytes = Buffer.alloc(8);
  slot.copy(bytes, 0, offset, offset + (type.count === undefined ? 8 : type.basic.size));
  return typedNumber(bytes.readBigUInt64LE(0), type);
}
