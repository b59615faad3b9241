/**
 * Names of threads in provider files: the field of the header, and the table that a prober's file has (abi/provider/layout.ts).
 *
 * `ThreadNameTable` writes such a table. A thread has the row of its id's remainder, so a later thread may take the row. A reader that
 * comes in between sees thread 0, which is none.
 */
import {
  PROVIDER_HEADER,
  PROVIDER_OFFSET,
  THREAD_NAME,
  THREAD_NAME_SIZE,
  THREAD_NAMES_MAX,
} from '@usertrace/abi';
import { printableText } from './printable-text.ts';

/** Bytes of the table. */
export const THREAD_NAMES_SIZE: number = THREAD_NAMES_MAX * THREAD_NAME_SIZE;

const COMM_SIZE = 16;
/** Process and thread ids are below Linux's own limit (proc_sys_kernel(5), pid_max). */
const TASK_ID_LIMIT = 2 ** 22;

/** Whether a number can be the id of a process or thread. */
export function isTask(id: number): boolean {
  return id > 0 && id < TASK_ID_LIMIT;
}

/**
 * Reads a command name.
 *
 * @param start of its 16 bytes
 */
export function commOf(bytes: Uint8Array, start: number): string {
  return printableText(bytes.subarray(start, start + COMM_SIZE));
}

/**
 * Stores a command name with its NUL.
 *
 * @param start of its 16 bytes
 * @param comm one character a byte
 */
export function writeComm(bytes: Buffer, start: number, comm: string): void {
  bytes.fill(0, start, start + COMM_SIZE);
  bytes.write(comm, start, COMM_SIZE - 1, 'latin1');
}

/**
 * Reads a table.
 *
 * @param table THREAD_NAMES_SIZE bytes
 * @returns the threads that can be
 */
export function decodeThreadNames(table: Buffer): (readonly [tid: number, comm: string])[] {
  const names: (readonly [number, string])[] = [];
  for (let start = 0; start < table.length; start += THREAD_NAME_SIZE) {
    const tid = table.readInt32LE(start + THREAD_NAME.tid);
    if (isTask(tid)) names.push([tid, commOf(table, start + THREAD_NAME.comm)]);
  }
  return names;
}

export class ThreadNameTable {
  readonly #numbers: Uint32Array;
  readonly #bytes: Buffer;
  readonly #namedByRow = new Map<number, string>();

  /** @param memory of a prober's file, from its start on */
  constructor(memory: ArrayBuffer) {
    this.#numbers = new Uint32Array(memory);
    this.#bytes = Buffer.from(memory);
  }

  /** Stores the name of a thread, one character a byte. */
  set(tid: number, comm: string): void {
    const row = tid % THREAD_NAMES_MAX;
    const named = `${tid} ${comm}`;
    if (this.#namedByRow.get(row) === named) return;
    this.#namedByRow.set(row, named);
    const start = PROVIDER_OFFSET.threadNames + row * THREAD_NAME_SIZE;
    this.#numbers[(start + THREAD_NAME.tid) / 4] = 0;
    writeComm(this.#bytes, start + THREAD_NAME.comm, comm);
    this.#numbers[(start + THREAD_NAME.tid) / 4] = tid;
    const changes = PROVIDER_HEADER.threadNameChanges / 4;
    this.#numbers[changes] = ((this.#numbers[changes] as number) + 1) >>> 0;
  }
}
