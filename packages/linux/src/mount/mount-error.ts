/** Thrown when a file system cannot be mounted: says what was refused, where, and what would help. */

import { ErrnoError, type ErrnoName } from '@usertrace/base';

export class MountError extends ErrnoError {
  /** What the user can do about it. */
  readonly remedy: string;

  /**
   * @param code what the kernel answered
   * @param refused what was refused, as a sentence without its end
   * @param remedy what would help, as a sentence without its end
   */
  constructor(code: ErrnoName, refused: string, remedy: string) {
    super(code, refused);
    this.name = 'MountError';
    this.remedy = remedy;
    this.message = `${this.message}. ${remedy}`;
  }
}
