/**
 * RecordEncoder makes the records of a definition's event, as eventLayout() and the event's format say: from a slot that a trampoline
 * filled, or from values that were fetched from a stopped thread. It owns the bytes of one record, which are valid until the next.
 *
 *     byte 0           8                16 or 24
 *          +-----------+----------------+------------------------+-----------------------+
 *          | common    | addresses      | numbers and locations, | texts, each with NUL  |
 *          | fields: 0 |                | packed                 |                       |
 *          +-----------+----------------+------------------------+-----------------------+
 *
 * As the kernel has it: a location is the place of the text and its length with NUL in the upper half; a text that cannot be read has
 * length 0, and is printed `(fault)`; a number that cannot be read is 0; texts that have no room are cut, then left out.
 */

import { COMMON_FIELDS_SIZE, ENTRY_MAX, LANE_PAGE_RESERVE } from '@usertrace/abi';
import type { FetchedValue } from '../breakpoint/fetching.ts';
import type { ProbeDefinition } from '../definition/definition.ts';
import { type ArgumentPlace, eventLayout } from '../definition/event-format.ts';
import { SLOT } from '../trampoline/lane-layout.ts';
import { slotLayout, slotText, TEXT_WORD, type ValuePlace } from '../trampoline/slot-layout.ts';
import { typedNumber } from './typed-value.ts';

/** The longest record: what is left of a page of a provider's lane for one. */
export const RECORD_SIZE_MAX: number = ENTRY_MAX - LANE_PAGE_RESERVE;

/** Bytes of a text's location. */
const LOCATION_SIZE = 4;

export class RecordEncoder {
  readonly #places: readonly ArgumentPlace[];
  readonly #slotPlaces: readonly ValuePlace[];
  readonly #fixedSize: number;
  readonly #record: Buffer;
  /** Where the following text goes. */
  #end = 0;

  constructor(definition: ProbeDefinition) {
    const { places, fixedSize } = eventLayout(definition);
    this.#places = places;
    this.#slotPlaces = slotLayout(definition.arguments).places;
    this.#fixedSize = fixedSize;
    this.#record = Buffer.alloc(Math.max(RECORD_SIZE_MAX, fixedSize));
  }

  /** The record that was made last. */
  get bytes(): Uint8Array {
    return this.#record;
  }

  /**
   * Makes the record of a breakpoint's hit.
   *
   * @param addresses the instruction's; of a return the function's, and where it returned to
   * @param values in the order of the arguments
   * @returns the record's bytes; 0 when it fits no page
   */
  encodeValues(addresses: readonly bigint[], values: readonly FetchedValue[]): number {
    if (!this.#begin(addresses)) return 0;
    for (const [index, place] of this.#places.entries()) this.#putValue(place, values[index]);
    return this.#end;
  }

  /**
   * Makes the record of a hit that a trampoline has stored.
   *
   * @param addresses as above
   * @param slot a copy of the slot
   * @returns the record's bytes; 0 when it fits no page
   */
  encodeSlot(addresses: readonly bigint[], slot: Buffer): number {
    if (!this.#begin(addresses)) return 0;
    for (const [index, place] of this.#places.entries()) {
      const { source } = place.argument;
      const from = this.#slotPlaces[index] as ValuePlace;
      const fault = ((slot[SLOT.faults + (index >> 3)] as number) >> (index & 7)) & 1;
      if (source.kind === 'text') this.#putText(place.offset, Buffer.from(source.text, 'latin1'));
      else if (fault === 1) this.#putFault(place);
      else if (place.argument.type.basic.isText) this.#putSlotTexts(place, slot, from);
      else this.#putSlotNumbers(place, slot, from);
    }
    return this.#end;
  }

  #begin(addresses: readonly bigint[]): boolean {
    if (this.#fixedSize > RECORD_SIZE_MAX) return false;
    this.#end = this.#fixedSize;
    this.#record.fill(0, 0, COMMON_FIELDS_SIZE);
    for (const [index, address] of addresses.entries()) {
      this.#record.writeBigUInt64LE(BigInt.asUintN(64, address), COMMON_FIELDS_SIZE + 8 * index);
    }
    return true;
  }

  #putValue(place: ArgumentPlace, value: FetchedValue): void {
    const { basic, count } = place.argument.type;
    const items = count === undefined || typeof value !== 'object' ? [value] : value;
    const itemCount = count ?? 1;
    for (let item = 0; item < itemCount; item++) {
      const offset = place.offset + item * basic.size;
      const itemValue = items[item] as bigint | string | undefined;
      if (basic.isText) {
        this.#putText(offset, typeof itemValue === 'string' ? Buffer.from(itemValue, 'latin1') : undefined);
      } else this.#putNumber(offset, basic.size, typeof itemValue === 'bigint' ? itemValue : 0n);
    }
  }

  #putFault({ argument: { type }, offset, size }: ArgumentPlace): void {
    if (!type.basic.isText) this.#record.fill(0, offset, offset + size);
    else for (let item = 0; item < size; item += LOCATION_SIZE) this.#putText(offset + item, undefined);
  }

  /** Numbers lie in the slot as in the record, with bytes above that the type cuts off. */
  #putSlotNumbers({ argument: { type }, offset, size }: ArgumentPlace, slot: Buffer, from: ValuePlace): void {
    if (type.bitField === undefined) {
      this.#record.set(slot.subarray(from.offset, from.offset + size), offset);
      return;
    }
    const itemSize = type.basic.size;
    for (let item = 0; item < size; item += itemSize) {
      const raw = readNumber(slot, from.offset + item, itemSize);
      this.#putNumber(offset + item, itemSize, typedNumber(raw, type));
    }
  }

  #putSlotTexts({ offset, size }: ArgumentPlace, slot: Buffer, from: ValuePlace): void {
    for (let item = 0; item < size / LOCATION_SIZE; item++)
      this.#putText(offset + item * LOCATION_SIZE, slotText(slot, from.offset + item * TEXT_WORD.size));
  }

  #putNumber(offset: number, size: number, value: bigint): void {
    let left = BigInt.asUintN(64, value);
    for (let at = offset; at < offset + size; at++) {
      this.#record[at] = Number(left & 0xffn);
      left >>= 8n;
    }
  }

  /** @param text without its NUL; undefined for one that could not be read */
  #putText(offset: number, text: Uint8Array | undefined): void {
    const room = RECORD_SIZE_MAX - this.#end;
    const length = text === undefined ? 0 : Math.min(text.length + 1, room);
    this.#record.writeUInt16LE(this.#end, offset);
    this.#record.writeUInt16LE(length, offset + 2);
    if (text === undefined || length === 0) return;
    this.#record.set(text.subarray(0, length - 1), this.#end);
    this.#end += length;
    this.#record[this.#end - 1] = 0;
  }
}

function readNumber(bytes: Buffer, offset: number, size: number): bigint {
  let value = 0n;
  for (let at = size - 1; at >= 0; at--) value = (value << 8n) | BigInt(bytes[offset + at] as number);
  return value;
}
