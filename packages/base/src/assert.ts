/** Thrown when the program itself is wrong: never for bad input. */
export class AssertionError extends Error {
  override readonly name: string = 'AssertionError';
}

/**
 * States what must be true if this program is right.
 *
 * @param condition what must hold
 * @param message what it means when it does not
 * @throws {AssertionError} when it does not hold
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/**
 * Marks a branch that no value can reach.
 *
 * @param value what should have been handled before
 * @throws {AssertionError} always
 */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`);
}
