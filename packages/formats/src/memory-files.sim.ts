/**
 * Files in memory that remember every change, so that a test can go back to any moment, and into the middle of a
 * write. They are sparse, as files on a disk are.
 */

import { ErrnoError } from '@usertrace/base';
import type { FileTree, ReadableFile, WritableFile } from './file-port.ts';

const PAGE = 4096;

/** One change. */
export type Change =
  | { readonly kind: 'create' | 'remove'; readonly path: string }
  | { readonly kind: 'write'; readonly path: string; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly path: string; readonly size: number }
  | { readonly kind: 'punch'; readonly path: string; readonly position: number; readonly length: number }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string };

class Content {
  size = 0;
  readonly pages = new Map<number, Uint8Array>();
}

export class MemoryFiles implements FileTree {
  readonly changes: Change[] = [];
  /** What freeBytes answers. */
  free: number = Number.MAX_SAFE_INTEGER;
  /** Writes of this many bytes in all fail with ENOSPC. */
  writable: number = Number.MAX_SAFE_INTEGER;
  readonly #contents = new Map<string, Content>();

  openToRead(path: string): ReadableFile {
    return this.openToChange(path);
  }

  openToChange(path: string): WritableFile {
    const content = this.#contents.get(path);
    if (content === undefined) throw new ErrnoError('ENOENT', `no ${path}`);
    return this.#handle(path, content);
  }

  create(path: string): WritableFile {
    this.#note({ kind: 'create', path });
    return this.openToChange(path);
  }

  createAnew(path: string): WritableFile {
    return this.create(path);
  }

  rename(from: string, to: string): void {
    this.#note({ kind: 'rename', path: from, to });
  }

  remove(path: string): void {
    this.#note({ kind: 'remove', path });
  }

  freeBytes(): number {
    return this.free;
  }

  /** Makes a change that was noted elsewhere. */
  apply(change: Change): void {
    const content = this.#contents.get(change.path);
    switch (change.kind) {
      case 'create':
        this.#contents.set(change.path, new Content());
        break;
      case 'remove':
        this.#contents.delete(change.path);
        break;
      case 'rename':
        if (content !== undefined) this.#contents.set(change.to, content);
        this.#contents.delete(change.path);
        break;
      case 'write':
        if (content !== undefined) write(content, change.position, change.bytes);
        break;
      case 'truncate':
        if (content !== undefined) truncate(content, change.size);
        break;
      case 'punch':
        if (content !== undefined) punch(content, change.position, change.length);
        break;
    }
  }

  /** The pages of a file that hold something, by number. */
  pagesOf(path: string): ReadonlyMap<number, Uint8Array> {
    return this.#contents.get(path)?.pages ?? new Map<number, Uint8Array>();
  }

  /** Bytes that a file takes on the disk. */
  bytesOnDisk(path: string): number {
    return this.pagesOf(path).size * PAGE;
  }

  #note(change: Change): void {
    this.changes.push(change);
    this.apply(change);
  }

  #handle(path: string, content: Content): WritableFile {
    return {
      size: () => content.size,
      read: (position, target) => read(content, position, target),
      write: (position, bytes) => {
        if (bytes.length > this.writable) throw new ErrnoError('ENOSPC', 'the disk is full');
        this.writable -= bytes.length;
        this.#note({ kind: 'write', path, position, bytes: bytes.slice() });
      },
      truncate: (size) => this.#note({ kind: 'truncate', path, size }),
      punchHole: (position, length) => this.#note({ kind: 'punch', path, position, length }),
      close: () => undefined,
    };
  }
}

function read(content: Content, position: number, target: Uint8Array): number {
  const length = Math.max(0, Math.min(target.length, content.size - position));
  target.fill(0, 0, length);
  for (let done = 0; done < length; ) {
    const at = position + done;
    const count = Math.min(length - done, PAGE - (at % PAGE));
    const page = content.pages.get(Math.floor(at / PAGE));
    if (page !== undefined) target.set(page.subarray(at % PAGE, (at % PAGE) + count), done);
    done += count;
  }
  return length;
}

function write(content: Content, position: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    const at = position + done;
    const count = Math.min(bytes.length - done, PAGE - (at % PAGE));
    const index = Math.floor(at / PAGE);
    const page = content.pages.get(index) ?? new Uint8Array(PAGE);
    content.pages.set(index, page);
    page.set(bytes.subarray(done, done + count), at % PAGE);
    done += count;
  }
  content.size = Math.max(content.size, position + bytes.length);
}

function truncate(content: Content, size: number): void {
  for (const index of content.pages.keys()) if (index * PAGE >= size) content.pages.delete(index);
  content.pages.get(Math.floor(size / PAGE))?.fill(0, size % PAGE);
  content.size = size;
}

function punch(content: Content, position: number, length: number): void {
  for (const index of content.pages.keys()) {
    if (index * PAGE >= position && (index + 1) * PAGE <= position + length) content.pages.delete(index);
  }
}
