/** Programs whose events are numbered, and a tracer's session with them, without a tracer. */
import {
  LANE_MODE,
  PROVIDER_LOCK,
  PROVIDER_OFFSET,
  SESSION,
  SESSION_SLOT_SIZE,
  SESSION_STATE,
} from '@usertrace/abi';
import { tryLockByte } from '@usertrace/linux';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { expect } from 'vitest';
import type { ProviderContent } from '../program.sim.ts';

/** Numbers in a row, from whichever to whichever. */
export function expectSequence({ events }: ProviderContent): { first: number; last: number } {
  const numbers = events.map(({ values }) => Number(values[0]));
  const first = numbers[0] ?? 0;
  expect(numbers).toEqual(numbers.map((_, index) => first + index));
  for (const { values } of events) expect(values[1]).toBe(`event number ${values[0]}`);
  return { first, last: numbers.at(-1) ?? -1 };
}

/** What each such program begins with. */
export const COUNTING = `
const counted = ut.tracepoint('counted', { number: ut.u32, text: ut.str });
const count = (from, to) => { for (let i = from; i < to; i++) counted(i, 'event number ' + i); };
`;

/** A tracer's session in a slot of a provider file, with its lock. The caller closes it, which is how a tracer dies. */
export class Session {
  readonly #fd: number;
  readonly #start: number;

  constructor(path: string, slot: number, mode: keyof typeof LANE_MODE) {
    this.#fd = openSync(path, 'r+');
    this.#start = PROVIDER_OFFSET.sessions + slot * SESSION_SLOT_SIZE;
    expect(tryLockByte(this.#fd, PROVIDER_LOCK.firstSession + slot)).toBe(true);
    this.#store(SESSION.mode, LANE_MODE[mode]);
    this.setUnreadPage(0);
    writeSync(this.#fd, Buffer.from([0xff]), 0, 1, this.#start + SESSION.wanted);
    this.#store(SESSION.state, SESSION_STATE.active);
  }

  setWord(index: number, count: number): void {
    writeSync(this.#fd, Buffer.from([count]), 0, 1, PROVIDER_OFFSET.words + index * 4);
  }

  setUnreadPage(page: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(page);
    writeSync(this.#fd, bytes, 0, 8, this.#start + SESSION.unreadPage);
  }

  isActive(): boolean {
    return readFileSync(`/proc/self/fd/${this.#fd}`).readUInt32LE(this.#start + SESSION.state) === 1;
  }

  end(): void {
    closeSync(this.#fd);
  }

  #store(field: number, value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    writeSync(this.#fd, bytes, 0, 4, this.#start + field);
  }
}
