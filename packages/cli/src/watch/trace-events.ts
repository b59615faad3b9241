/**
 * What `-o` writes: events of the system `utrace`, each with its format, as records of a ring page. Their ids are below those of
 * providers, so that both fit in one file.
 */
import { COMMON_FIELDS_SIZE, type EventField, formatFileText, parseFields, signalName } from '@usertrace/abi';
import { assert } from '@usertrace/base';
import { errorName } from './event-texts.ts';
import type { WatchEvent } from './watch-event.ts';

/** The system of these events. */
export const WATCH_SYSTEM = 'utrace';

const FIRST_ID = 1000;
/** Bytes of all strings of a record; longer ones are cut. A record has to fit in a page. */
const STRINGS_MAX = 3500;
const LONGEST_RECORD = 4000;

/** Fields by event, as user_events declares them. */
const DECLARATIONS = {
  sys_enter: 'int nr; __data_loc char[] name; __data_loc char[] args',
  sys_exit: 'int nr; __data_loc char[] name; s64 ret; __data_loc char[] error',
  clone: '__data_loc char[] how; int child',
  exec: '__data_loc char[] file; __data_loc char[] args; int former_tid',
  exit: 'int code; int signal; int core_dumped; int is_thread',
  signal:
    'int sig; __data_loc char[] name; int code; int sender_pid; u32 sender_uid; __data_loc char[] disposition',
  job_control: 'int is_stopped; int sig',
} as const;

type EventName = keyof typeof DECLARATIONS;
type Value = number | bigint | string;

interface Layout {
  readonly id: number;
  readonly fields: readonly EventField[];
  readonly fixedSize: number;
}

const NAMES = Object.keys(DECLARATIONS) as EventName[];
const LAYOUTS = Object.fromEntries(
  NAMES.map((name, index) => [name, layoutOf(DECLARATIONS[name], FIRST_ID + index)]),
) as Record<EventName, Layout>;

/** The format files of all events. */
export function watchFormats(): { system: string; text: string }[] {
  return NAMES.map((name) => ({
    system: WATCH_SYSTEM,
    text: formatFileText(name, LAYOUTS[name].id, LAYOUTS[name].fields),
  }));
}

/** Makes records. Its one buffer holds the record that was made last. */
export class RecordEncoder {
  readonly bytes: Uint8Array = new Uint8Array(LONGEST_RECORD);
  readonly #view = new DataView(this.bytes.buffer);

  /** Encodes an event; returns the record's length in bytes, a multiple of 4. */
  encode(event: WatchEvent): number {
    const { tid } = event.task;
    switch (event.kind) {
      case 'enter': {
        const { number, name, args } = event.call;
        return this.#put('sys_enter', tid, [number, name, args.join(', ')]);
      }
      case 'return':
        return this.#put('sys_exit', tid, [
          event.number,
          event.name,
          event.result,
          errorName(event.errno) ?? '',
        ]);
      case 'abandoned':
        return this.#put('sys_exit', tid, [event.call.number, event.call.name, 0, 'ended']);
      case 'clone':
        return this.#put('clone', tid, [event.how, event.child]);
      case 'exec':
        return this.#put('exec', tid, [event.file, event.args.join(' '), event.formerTid]);
      case 'exit': {
        const { code = 0, signal = 0, dumpedCore } = event.end;
        return this.#put('exit', tid, [code, signal, Number(dumpedCore), Number(event.isThread)]);
      }
      case 'signal': {
        const { signal, code, sender, disposition } = event;
        const values = [signal, signalName(signal), code, sender?.pid ?? 0, sender?.uid ?? 0, disposition];
        return this.#put('signal', tid, values);
      }
      default:
        return this.#put('job_control', tid, [Number(event.isStopped), event.signal]);
    }
  }

  #put(name: EventName, tid: number, values: readonly Value[]): number {
    const { id, fields, fixedSize } = LAYOUTS[name];
    const view = this.#view;
    view.setUint32(0, id, true);
    view.setInt32(4, tid, true);
    let end = fixedSize;
    for (const [index, { offset, size }] of fields.entries()) {
      const value = values[index] as Value;
      if (typeof value === 'string') {
        const start = end;
        end += this.#putString(value, start, fixedSize + STRINGS_MAX - start);
        view.setUint32(offset, ((end - start) << 16) | start, true);
      } else if (size === 8) view.setBigInt64(offset, BigInt(value), true);
      else view.setInt32(offset, Number(value), true);
    }
    const length = (end + 3) & ~3;
    this.bytes.fill(0, end, length);
    return length;
  }

  /** Writes a string with its zero byte; returns how many bytes. */
  #putString(text: string, start: number, room: number): number {
    // Room for the zero bytes of the strings that follow.
    const { written } = TEXT.encodeInto(text, this.bytes.subarray(start, start + Math.max(0, room - 8)));
    this.bytes[start + written] = 0;
    return written + 1;
  }
}

const TEXT = new TextEncoder();

function layoutOf(declaration: string, id: number): Layout {
  const fields = parseFields(declaration);
  assert(typeof fields !== 'string', 'the declarations above are right');
  const last = fields.at(-1);
  return { id, fields, fixedSize: last === undefined ? COMMON_FIELDS_SIZE : last.offset + last.size };
}
