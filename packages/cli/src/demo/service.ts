/**
 * The service of `usertrace demo`: a program that knows nothing of usertrace and speaks the kernel's own ABI
 * (Documentation/trace/user_events.rst). It handles pretended requests for some seconds, and writes an event about
 * each only while its enable words say that somebody listens.
 *
 * The words are in a mapped page, which never moves; each event holds its own.
 */

import { closeSync, openSync, writevSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { DIAG_IOCSREG, USER_REG_SIZE, USER_REG_WRITE_INDEX_OFFSET } from '@usertrace/abi';
import { addressOf, checked, libc, viewOf } from '@usertrace/linux';

const PAGE_SIZE = 4096;
/** mmap(2): PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS. */
const PROTECTION = 0x3;
const MAP_FLAGS = 0x22;
/** The bit of each word that says whether somebody listens: the one that user_events programs use. */
const ENABLE_BIT = 31;

const REQUEST_COUNT = 90;
const REQUEST_INTERVAL_MS = 60;
/** Every so many requests one is not in the cache. */
const MISS_INTERVAL = 7;

/** An event that this process has registered. */
interface RegisteredEvent {
  readonly writeIndex: Buffer;
  /** The enable word. Somebody else changes it at any time. */
  readonly word: Int32Array;
}

// Whoever ran the demo may look no more; the requests are handled all the same.
process.stdout.on('error', () => undefined);

const page = viewOf(
  checked(libc().mmap(null, PAGE_SIZE, PROTECTION, MAP_FLAGS, -1, 0), 'map a page'),
  PAGE_SIZE,
);
const dataFile = openSync('/sys/kernel/tracing/user_events_data', 'r+');

/** Registers an event. `offset`: where its word is in the page. */
function register(offset: number, command: string): RegisteredEvent {
  const word = new Int32Array(page, offset, 1);
  const name = Buffer.from(`${command}\0`);
  const registration = Buffer.alloc(USER_REG_SIZE);
  registration.writeUInt32LE(USER_REG_SIZE, 0);
  registration.writeUInt8(ENABLE_BIT, 4);
  registration.writeUInt8(word.BYTES_PER_ELEMENT, 5);
  registration.writeBigUInt64LE(BigInt(addressOf(word)), 8);
  registration.writeBigUInt64LE(BigInt(addressOf(name)), 16);
  checked(libc().ioctl(dataFile, DIAG_IOCSREG, registration), `register "${command}"`);
  return { word, writeIndex: registration.subarray(USER_REG_WRITE_INDEX_OFFSET) };
}

/** The whole cost of an event while nobody listens. */
function isOn({ word }: RegisteredEvent): boolean {
  return ((Atomics.load(word, 0) >>> ENABLE_BIT) & 1) === 1;
}

/**
 * Writes an event.
 *
 * @returns whether it was taken: an event that was switched off after the program looked at its word is answered with EBADF
 */
function write(event: RegisteredEvent, ...fields: readonly Buffer[]): boolean {
  try {
    writevSync(dataFile, [event.writeIndex, ...fields]);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EBADF') return false;
    throw error;
  }
}

const request = register(0, 'demo_request u32 number; u32 duration_us; char[8] method');
const miss = register(64, 'demo_cache_miss u32 number; __rel_loc char[] key');
process.stdout.write(`service: process ${process.pid} has registered 2 events and handles requests\n`);

let eventCount = 0;
for (let number = 1; number <= REQUEST_COUNT; number++) {
  if (isOn(request)) {
    const fields = Buffer.alloc(16);
    fields.writeUInt32LE(number, 0);
    fields.writeUInt32LE(200 + ((number * 7919) % 800), 4);
    fields.write(number % 3 === 0 ? 'PUT' : 'GET', 8);
    if (write(request, fields)) eventCount++;
  }
  if (number % MISS_INTERVAL === 0 && isOn(miss)) {
    const key = Buffer.from(`user/${number}\0`);
    const fields = Buffer.alloc(8);
    fields.writeUInt32LE(number, 0);
    // A relative location: the text's size above 16 bits of its distance from the location's end (here none).
    fields.writeUInt32LE(key.length << 16, 4);
    if (write(miss, fields, key)) eventCount++;
  }
  await delay(REQUEST_INTERVAL_MS);
}
closeSync(dataFile);
process.stdout.write(`service: handled ${REQUEST_COUNT} requests and wrote ${eventCount} events\n`);
