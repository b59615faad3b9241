/**
 * From the fields of a tracepoint to the arguments it takes, for the compiler alone.
 *
 * An object type has no order that the language knows of, but compilers go through its properties in the order in which
 * they are written. `InOrder` makes an object type for each property in that order, and a union of such types keeps
 * it: TypeScript up to 6 orders unions by when their members were made, and 7 does so for types that an inference
 * reversed, which have nothing else to be ordered by. arguments.test.ts has this checked by the compiler at hand. Fields as
 * a list of pairs, whose order the language does know, are for whoever does not want to rely on it.
 */
import type { FieldType } from './field-type.ts';

/** Any field's type. */
// oxlint-disable-next-line typescript/no-explicit-any -- a field that takes any value
export type AnyField = FieldType<any>;
/** Fields by name. Properties of an object spread (`...common`) come last for TypeScript before 7: use a list for these. */
export type FieldsByName = Readonly<Record<string, AnyField>>;
/** Fields as pairs of name and type. */
export type FieldList = readonly (readonly [name: string, type: AnyField])[];
/** What a tracepoint is declared with. */
export type Fields = FieldsByName | FieldList;

/** The arguments of a tracepoint with these fields. */
export type ArgumentsOf<Declared extends Fields> = Declared extends FieldList
  ? { -readonly [Place in keyof Declared]: TypeOfPair<Declared[Place]> }
  : Declared extends FieldsByName
    ? ValuesOf<Declared, NamesOf<Declared>>
    : never;

type TypeOfPair<Pair> = Pair extends readonly [string, infer Field] ? ValueOf<Field> : never;
type ValueOf<Field> = Field extends FieldType<infer Value> ? Value : never;

type ValuesOf<Declared, Names> = Names extends readonly unknown[]
  ? { [Place in keyof Names]: Names[Place] extends keyof Declared ? ValueOf<Declared[Names[Place]]> : never }
  : never;

type Reversible<T> = { [Key in keyof T]: [T[Key]] };
type Reversed<Declared, Name> =
  { name: [Name]; of: [Declared] } extends Reversible<infer Made> ? Made : never;
type MadeByName<Declared> = { [Name in keyof Declared]: Reversed<Declared, Name> };
/** Comparing with an index signature makes the compiler look at every property, in order. */
type InOrder<ByName> = ByName extends Record<string, { name: unknown }> ? ByName : never;

type NamesOf<Declared> =
  InOrder<MadeByName<Declared>> extends infer ByName ? ListOf<ByName[keyof ByName]> : never;

type ListOf<Union, List extends unknown[] = [], Member = LastOf<Union>> = [Union] extends [never]
  ? List
  : ListOf<Exclude<Union, Member>, [Member extends { name: infer Name } ? Name : never, ...List]>;

/** Of functions that overload each other, inference takes the last. */
type LastOf<Union> =
  Intersection<Union extends unknown ? (member: Union) => void : never> extends (member: infer Last) => void
    ? Last
    : never;
type Intersection<Union> = (Union extends unknown ? (member: Union) => void : never) extends (
  member: infer All,
) => void
  ? All
  : never;
