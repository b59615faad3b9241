/** What the descriptors of a server are for. Running out of them would leave it unable to look at any task. */

/** Descriptors kept for the connection, what is read of tasks, and whatever Node opens. */
const SPARE_DESCRIPTORS = 256;
/** An address space is held open by its mem and maps files, and its process by a pidfd. */
const DESCRIPTORS_PER_ADDRESS_SPACE = 3;
/** An ioctl under way holds its caller's mem and maps files. */
const DESCRIPTORS_PER_IOCTL = 2;
/** Ioctls under way at a time: a sixteenth of the descriptors is for them, but for so many at least and at most. */
const IOCTLS_MIN = 128;
const IOCTLS_MAX = 4096;

/**
 * How many address spaces, and ioctls under way, a server's descriptors suffice for.
 *
 * @param descriptors how many it may have open
 */
export function descriptorShares(descriptors: number): { addressSpaces: number; ioctls: number } {
  const sixteenth = Math.floor(descriptors / 16 / DESCRIPTORS_PER_IOCTL);
  const ioctls = Math.min(Math.max(sixteenth, IOCTLS_MIN), IOCTLS_MAX);
  const left = descriptors - SPARE_DESCRIPTORS - ioctls * DESCRIPTORS_PER_IOCTL;
  return { addressSpaces: Math.max(1, Math.floor(left / DESCRIPTORS_PER_ADDRESS_SPACE)), ioctls };
}
