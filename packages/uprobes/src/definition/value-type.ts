/**
 * The types a fetch argument can have: how many bytes it takes in a record, how the format file declares it and
 * how it is printed. A ValueType is what stands behind an argument's colon.
 */

/** One of the kernel's basic types. */
export interface BasicType {
  readonly name: string;
  /** Bytes in the record; of a string, its location word. */
  readonly size: 1 | 2 | 4 | 8;
  readonly isSigned: boolean;
  /** As `format` declares it. */
  readonly declared: string;
  /** The conversion in `print fmt`. */
  readonly conversion: string;
  /** Text is copied behind the record's fixed part. */
  readonly isText: boolean;
}

export interface BitField {
  readonly width: number;
  readonly offset: number;
}

/** An argument's type. */
export interface ValueType {
  readonly basic: BasicType;
  /** How many items an array has; undefined if it is none. */
  readonly count: number | undefined;
  readonly bitField: BitField | undefined;
}

/** The most items an array may have (MAX_ARRAY_LEN). */
export const ARRAY_ITEMS_MAX = 64;

function integer(sign: 'u' | 's' | 'x', size: 1 | 2 | 4 | 8): BasicType {
  const bits = size * 8;
  const letter = { u: 'u', s: 'd', x: 'x' }[sign];
  const conversion = `${sign === 'x' ? '0x' : ''}%${size === 8 ? 'L' : ''}${letter}`;
  const declared = `${sign === 's' ? 's' : 'u'}${bits}`;
  return { name: `${sign}${bits}`, size, isSigned: sign === 's', declared, conversion, isText: false };
}

function text(name: string): BasicType {
  return {
    name,
    size: 4,
    isSigned: true,
    declared: '__data_loc char[]',
    conversion: '\\"%s\\"',
    isText: true,
  };
}

const SIZES = [1, 2, 4, 8] as const;

/** Every basic type, by its name. `symbol` and its kin are the kernel's alone. */
export const BASIC_TYPES: ReadonlyMap<string, BasicType> = new Map(
  [
    ...(['u', 's', 'x'] as const).flatMap((sign) => SIZES.map((size) => integer(sign, size))),
    { name: 'char', size: 1, isSigned: false, declared: 'u8', conversion: "'%c'", isText: false } as const,
    text('string'),
    text('ustring'),
  ].map((type) => [type.name, type]),
);

function basicType(name: string): BasicType {
  const type = BASIC_TYPES.get(name);
  if (type === undefined) throw new RangeError(`Cannot find the type ${name}: it is none of this table`);
  return type;
}

/** What an argument has whose type nobody says. */
export const DEFAULT_TYPE: BasicType = basicType('x64');

/** What `$comm` and text in the definition have. */
export const STRING_TYPE: BasicType = basicType('string');

/** The integer of a bit field's container, by the container's bits. */
export const CONTAINERS: ReadonlyMap<bigint, BasicType> = new Map(
  SIZES.map((size) => [BigInt(size * 8), basicType(`u${size * 8}`)]),
);

/** Bytes that a value takes in the record's fixed part. */
export function recordSize({ basic, count }: ValueType): number {
  return basic.size * (count ?? 1);
}
