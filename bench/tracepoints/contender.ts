/**
 * What a contender is: one way for a program to say that something happened, measured in a process of its own.
 *
 * All of them say the same: event I of payload `text` is (I, I + 1, TEXTS[I % 3]), of payload `numbers`
 * (I * 1000, I, I / 2). The C program lttng-events.c repeats these numbers and texts.
 */

/** The fields of an event: {int, int, string of 15 characters}, or {u64, int, double in a u64}. */
export type Payload = 'text' | 'numbers';

/** For people. */
export const PAYLOAD_TITLES: Record<Payload, string> = {
  text: '{int, int, 15-character string}',
  numbers: '{u64, int, double}',
};

/** The strings of payload `text`. */
export const TEXTS: readonly [string, string, string] = [
  'abcdefghijklmno',
  'ABCDEFGHIJKLMNO',
  'zyxwvutsrqponml',
];

/** One of TEXTS, by the event's number. */
export function textOf(event: number): string {
  return TEXTS[(event % 3) as 0 | 1 | 2];
}

/** Emits that many events in a loop of its own, so that V8 compiles it for this contender and payload alone. */
export type EmitMany = (count: number) => void;

/** A contender's loops; only one of them is ever called in a process. */
export interface Contender {
  readonly loops: Readonly<Record<Payload, EmitMany>>;
  /** Takes down what the contender set up. */
  close?(): void;
}
