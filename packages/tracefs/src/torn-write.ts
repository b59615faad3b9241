/**
 * The rest of a write(2) or writev(2) of which only the beginning came.
 *
 * Linux 6.16 and newer copies a FUSE write without touching the writer's pages first. At the first page that is not in
 * memory, such as a string constant that nobody has read yet, it sends what it has, and the rest as another request. The
 * kernel's own user_events would wait for the page. So the rest is read out of the writer's memory, where it waits in the
 * call: that brings the page in, and the requests that follow find it.
 */

import { Address } from '@usertrace/base';
import type { AddressSpaceHandle, RemoteMemory, WriteCall } from '@usertrace/linux';

/** An event as large as two pages fits no sub-buffer; the rest of a longer write is not fetched. */
const WRITE_SIZE_MAX = 8192;
/** What one read of remote memory takes. */
const READ_SIZE_MAX = 4096;
/** struct iovec: an address and a size, 8 bytes each. */
const VECTOR_SIZE = 16;
const VECTORS_MAX = READ_SIZE_MAX / VECTOR_SIZE;

interface Piece {
  readonly address: bigint;
  readonly size: number;
}

/** Where it is read from. */
export interface WriterMemory {
  readonly memory: Pick<RemoteMemory, 'read'>;
  readonly handle: AddressSpaceHandle;
}

/**
 * Fetches all that a call writes.
 *
 * @param begun the bytes that came, the first ones of the call
 * @param done called with all bytes, now or later; with EFAULT when some cannot be read; with undefined when there are no
 *   more than came, or too many
 */
export function completeWrite(
  writer: WriterMemory,
  call: WriteCall,
  begun: Uint8Array,
  done: (whole: Uint8Array | 'EFAULT' | undefined) => void,
): void {
  if (call.vectorCount === undefined) return fetch(writer, [call], begun, done);
  if (call.vectorCount === 0 || call.vectorCount > VECTORS_MAX) return done(undefined);
  const size = call.vectorCount * VECTOR_SIZE;
  writer.memory.read(writer.handle, Address(call.address), size, (bytes) => {
    if (typeof bytes === 'string' || bytes.length < size) return done('EFAULT');
    fetch(writer, vectorsIn(bytes), begun, done);
  });
}

function vectorsIn(bytes: Uint8Array): Piece[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const vectors: Piece[] = [];
  for (let at = 0; at < bytes.length; at += VECTOR_SIZE) {
    vectors.push({
      address: view.getBigUint64(at, true),
      size: Number(view.getBigUint64(at + VECTOR_SIZE / 2, true)),
    });
  }
  return vectors;
}

function fetch(
  { memory, handle }: WriterMemory,
  written: readonly Piece[],
  begun: Uint8Array,
  done: (whole: Uint8Array | 'EFAULT' | undefined) => void,
): void {
  const total = written.reduce((sum, { size }) => sum + size, 0);
  if (total <= begun.length || total > WRITE_SIZE_MAX) return done(undefined);
  const whole = new Uint8Array(total);
  whole.set(begun);
  const missing = piecesBehind(written, begun.length);
  let end = begun.length;
  const fetchNext = (): void => {
    const piece = missing.shift();
    if (piece === undefined) return done(whole);
    memory.read(handle, Address(piece.address), piece.size, (bytes) => {
      if (typeof bytes === 'string' || bytes.length < piece.size) return done('EFAULT');
      whole.set(bytes, end);
      end += bytes.length;
      fetchNext();
    });
  };
  fetchNext();
}

/** What lies behind the first bytes, in pieces that one read takes each. */
function piecesBehind(written: readonly Piece[], skippedBytes: number): Piece[] {
  const pieces: Piece[] = [];
  let skipped = skippedBytes;
  for (const { address, size } of written) {
    const start = Math.min(skipped, size);
    skipped -= start;
    for (let at = start; at < size; at += READ_SIZE_MAX) {
      pieces.push({ address: address + BigInt(at), size: Math.min(READ_SIZE_MAX, size - at) });
    }
  }
  return pieces;
}
