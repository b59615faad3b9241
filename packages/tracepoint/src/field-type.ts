/**
 * The types that a tracepoint's fields may have: those of user_events' grammar (Documentation/trace/user_events.rst), each
 * with the JavaScript values it takes. A FieldType never changes.
 */

declare const value: unique symbol;

/** How a value is stored; the encoders have a piece of code for each. */
export type Storage = 'integer' | 'long' | 'double' | 'text' | 'blob' | 'fixed-text' | 'fixed-blob';

/** A field's type, which takes values of type `Value`. */
export interface FieldType<Value> {
  /** The type in user_events' grammar, such as `u32` or `__rel_loc char[]`. */
  readonly type: string;
  readonly storage: Storage;
  /** Bytes of a struct, which its type does not say. */
  readonly structSize?: number;
  /** No value has it: it carries the type. */
  readonly [value]?: Value;
}

const field = <Value>(type: string, storage: Storage): FieldType<Value> => Object.freeze({ type, storage });

/** Unsigned, 8 bits. A value that does not fit keeps its low bits; what is no number becomes one, or 0. */
export const u8: FieldType<number> = field('u8', 'integer');
/** Unsigned, 16 bits; as u8. */
export const u16: FieldType<number> = field('u16', 'integer');
/** Unsigned, 32 bits; as u8. */
export const u32: FieldType<number> = field('u32', 'integer');
/** Unsigned, 64 bits, of a bigint or a number; a number's fraction is dropped. */
export const u64: FieldType<number | bigint> = field('u64', 'long');
/** Signed, 8 bits; as u8. */
export const s8: FieldType<number> = field('s8', 'integer');
/** Signed, 16 bits; as u8. */
export const s16: FieldType<number> = field('s16', 'integer');
/** Signed, 32 bits; as u8. */
export const s32: FieldType<number> = field('s32', 'integer');
/** Signed, 64 bits; as u64. */
export const s64: FieldType<number | bigint> = field('s64', 'long');
/** s32 by C's name `int`. C's names are for events that C programs declare as well: the type's text is part of an event. */
export const int: FieldType<number> = field('int', 'integer');
/** u32 by C's name `unsigned int`. */
export const uint: FieldType<number> = field('unsigned int', 'integer');
/** s16 by C's name `short`. */
export const short: FieldType<number> = field('short', 'integer');
/** u16 by C's name `unsigned short`. */
export const ushort: FieldType<number> = field('unsigned short', 'integer');
/** A number of 8 bits by C's name `char`. For text take `str` or `chars(n)`. */
export const char: FieldType<number> = field('char', 'integer');
/** u8 by C's name `unsigned char`. */
export const uchar: FieldType<number> = field('unsigned char', 'integer');
/** A double. The grammar has no floating point, so its 64 bits are stored in a field of type u64. */
export const f64: FieldType<number> = field('u64', 'double');
/** Text of any length, UTF-8. What does not fit into a page with the rest of the event is cut. */
export const str: FieldType<string> = field('__rel_loc char[]', 'text');
/** Bytes of any length, cut likewise. */
export const bytes: FieldType<Uint8Array> = field('__rel_loc u8[]', 'blob');

/**
 * Text in a fixed number of bytes: UTF-8, cut to fit, zero behind it.
 *
 * @param size bytes, 1 to 1024
 */
export function chars(size: number): FieldType<string> {
  return field(`char[${size}]`, 'fixed-text');
}

/**
 * Bytes in a fixed number: cut to fit, zero behind them.
 *
 * @param size bytes, 1 to 1024
 */
export function byteArray(size: number): FieldType<Uint8Array> {
  return field(`unsigned char[${size}]`, 'fixed-blob');
}

/**
 * A C struct, as bytes: cut to its size, zero behind them.
 *
 * @param name the struct's, such as `point`
 * @param size bytes
 */
export function struct(name: string, size: number): FieldType<Uint8Array> {
  return Object.freeze({ type: `struct ${name}`, storage: 'fixed-blob', structSize: size });
}

type LocatedValue<Element extends string> = Element extends `${string}char${string}` ? string : Uint8Array;

/**
 * Values of any length whose place is counted from the field's end (`__rel_loc`): text when the element's type has
 * `char` in it, as for the kernel, else bytes.
 *
 * @param element such as `char[]` or `u32[]`
 */
export function relLoc<Element extends string>(element: Element): FieldType<LocatedValue<Element>> {
  return field(`__rel_loc ${element}`, element.includes('char') ? 'text' : 'blob');
}

/**
 * The same with the place counted from the record's start (`__data_loc`).
 *
 * @param element such as `char[]` or `u32[]`
 */
export function dataLoc<Element extends string>(element: Element): FieldType<LocatedValue<Element>> {
  return field(`__data_loc ${element}`, element.includes('char') ? 'text' : 'blob');
}
