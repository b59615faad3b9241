/** Waiting for a promise, but not for ever. */

/**
 * Waits until a promise is settled or a time is over. Nothing becomes of the promise itself when it is late: what it waits for goes
 * on, and that it is rejected then is nobody's error.
 *
 * @returns whether it was fulfilled in time
 * @throws what the promise was rejected with in time
 */
export async function isInTime(promise: Promise<unknown>, deadlineMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, deadlineMs, false);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
