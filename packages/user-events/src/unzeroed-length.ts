/**
 * The number that the kernel shows in the brackets of an array field: `field:char s[];`, or by accident
 * `field:char s[13366];`.
 *
 * The kernel (6.12) never sets the length member of a user event's fields. Their memory is not zeroed, so it
 * shows what the same 64-byte object held before at byte 48: mostly zeroes, but also a piece of a command that
 * was just registered, for its copies are freed shortly before the fields are made, and what is freed last is
 * used first. That is reproduced here for the copies that a registration makes, so that format files read
 * character for character like the kernel's. What else a kernel does with such objects is not known here.
 *
 * An {@link UnzeroedLengths} belongs to the registry. Of each object it keeps the four bytes that may show.
 */

import { fieldWords } from '@usertrace/abi';

/** The bytes of a freed object that become a field's length. */
type Remains = Uint8Array;

const OBJECT_SIZE = 64;
const SMALLER_OBJECT_SIZE = 32;
const LENGTH_OFFSET = 48;
const LENGTH_SIZE = 4;
const POINTER_SIZE = 8;
/** A registration frees four; more than some registrations' worth are not told from fresh memory. */
const FREED_MAX = 64;

/** The kernel's freed 64-byte objects. */
export class UnzeroedLengths {
  readonly #freed: Remains[] = [];

  /**
   * The copy of the command that a registration makes. It stays with a new event, as its name.
   *
   * @param command one character a byte
   * @returns the object the copy is in; undefined if it needs another size
   */
  copyCommand(command: string): Remains | undefined {
    const object = this.#allocate(command.length + 1);
    const nameEnd = command.indexOf(' ');
    fill(object, nameEnd < 0 ? command : `${command.slice(0, nameEnd)}\0${command.slice(nameEnd + 1)}`);
    return object;
  }

  /** The registration made no event: the command's copy is freed. */
  freeCommand(object: Remains | undefined): void {
    this.#free(object);
  }

  /**
   * Splits the fields into words as the kernel does to look for an event: copies are made and freed.
   *
   * @param fields what follows the name in the command
   */
  splitFields(fields: string): void {
    const spaced = fields.replaceAll(/;(?=[^\s])/g, '; ');
    const spacedCopy = spaced === fields ? undefined : this.#allocate(spaced.length + 1);
    fill(spacedCopy, spaced);
    const words = this.#allocate(spaced.length + 1);
    fill(words, spaced.replaceAll(/\s/g, '\0'));
    // The array of pointers to the words, its own first entry and the last, which is null.
    const pointers = this.#allocate((fieldWords(fields).length + 2) * POINTER_SIZE);
    this.#free(spacedCopy);
    this.#free(words);
    this.#free(pointers);
  }

  /** The length that a new field shows. */
  take(): number {
    const remains = this.#freed.pop();
    return remains === undefined ? 0 : new DataView(remains.buffer).getInt32(0, true);
  }

  #allocate(size: number): Remains | undefined {
    if (size <= SMALLER_OBJECT_SIZE || size > OBJECT_SIZE) return undefined;
    return this.#freed.pop() ?? new Uint8Array(LENGTH_SIZE);
  }

  #free(object: Remains | undefined): void {
    if (object !== undefined && this.#freed.length < FREED_MAX) this.#freed.push(object);
  }
}

/** Writes a text and its NUL into an object, of which only the length's bytes are kept. */
function fill(object: Remains | undefined, text: string): void {
  if (object === undefined) return;
  for (let i = 0; i < LENGTH_SIZE && LENGTH_OFFSET + i <= text.length; i++) {
    object[i] = LENGTH_OFFSET + i < text.length ? text.charCodeAt(LENGTH_OFFSET + i) : 0;
  }
}
