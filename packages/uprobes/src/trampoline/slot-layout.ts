/**
 * Where in a slot the values of a hit are.
 *
 *     header             SLOT, up to SLOT.values
 *     places             one for each argument, of 8 bytes or more
 *     texts              packed, in the order of their arguments, as far as the slot goes
 *
 * A text's place has its TEXT_WORD, an array of texts one for each item. Slots come in sizes: what has no room for its texts in the
 * first takes another, of LONG_TEXTS_SIZE, in which they have it.
 */

import { type FetchArgument, memoryOffsets } from '../definition/fetch-argument.ts';
import { recordSize } from '../definition/value-type.ts';
import { SLOT } from './lane-layout.ts';

/** Offsets in the word of a text. */
export const TEXT_WORD = {
  /** u32: of the text's first byte, in the slot. */
  offset: 0,
  /** i32: bytes of the text, without its end mark; negative when it could not be read. */
  length: 4,
  size: 8,
} as const;

/** Bytes of the longest text, its end mark among them (MAX_STRING_SIZE); a longer one counts as not readable, as in the kernel. */
export const TEXT_BYTES_MAX = 4096;
/** Bytes of a thread's name with its end mark (PR_GET_NAME). */
export const COMM_BYTES = 16;
/** More would not fit the slot's word of faults. */
export const TRAMPOLINE_ARGUMENTS_MAX = 64;

/** Bytes that a text is expected to take at most; where many are longer, each hit takes two slots. */
const TEXT_BYTES_USUAL = 128;
/** Bytes up to the texts. */
const FIXED_BYTES_MAX = 8192;
/**
 * Bytes of a slot in which any texts have room: two of the longest. A record takes a page, and so those behind need none; but it must be known
 * whether the second is too long, since it counts as not readable then, and takes no room in the record.
 */
export const LONG_TEXTS_SIZE: number = FIXED_BYTES_MAX + 2 * TEXT_BYTES_MAX;

/** Where an argument's value is. Texts of the definition are not there. */
export interface ValuePlace {
  readonly argument: FetchArgument;
  readonly offset: number;
  readonly size: number;
}

/** How a slot is filled. */
export interface SlotLayout {
  readonly places: readonly ValuePlace[];
  /** Where texts begin; at the end of the places. */
  readonly textsAt: number;
  /** Texts that are read from memory. */
  readonly textCount: number;
  /** Bytes that usual hits take. */
  readonly size: number;
}

/** The layout for some arguments. Values are whole, not cut to a bit field. */
export function slotLayout(fetched: readonly FetchArgument[]): SlotLayout {
  let offset: number = SLOT.values;
  const places = fetched.map((argument): ValuePlace => {
    const bytes = slotBytes(argument);
    const place = { argument, offset, size: bytes };
    offset += Math.ceil(bytes / 8) * 8;
    return place;
  });
  const textCount = fetched.reduce((sum, argument) => sum + textsOf(argument), 0);
  const room = Math.min(textCount * TEXT_BYTES_USUAL, 2 * TEXT_BYTES_MAX);
  return { places, textsAt: offset, textCount, size: offset + room };
}

/** Whether trampolines can record such hits. */
export function fitsSlot(fetched: readonly FetchArgument[]): boolean {
  return fetched.length <= TRAMPOLINE_ARGUMENTS_MAX && slotLayout(fetched).textsAt <= FIXED_BYTES_MAX;
}

/**
 * A text of a slot.
 *
 * @param slot a copy of it, which is not believed
 * @param at the offset of its word
 * @returns without its end mark; undefined when it could not be read
 */
export function slotText(slot: Buffer, at: number): Buffer | undefined {
  const length = slot.readInt32LE(at + TEXT_WORD.length);
  if (length < 0) return undefined;
  const offset = slot.readUInt32LE(at + TEXT_WORD.offset);
  const bytes = slot.subarray(offset, offset + Math.min(length, TEXT_BYTES_MAX));
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/** How many texts of memory an argument has. */
function textsOf(argument: FetchArgument): number {
  const { basic, count } = argument.type;
  return basic.isText && memoryOffsets(argument).length > 0 ? (count ?? 1) : 0;
}

function slotBytes({ source, type }: FetchArgument): number {
  if (source.kind === 'text') return 0;
  if (source.kind === 'comm') return TEXT_WORD.size + COMM_BYTES;
  return type.basic.isText ? TEXT_WORD.size * (type.count ?? 1) : Math.max(8, recordSize(type));
}
