/** What a thread of a benchmark says. */
import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';

const ANSWER_TIMEOUT_MS = 30_000;

/**
 * The thread's next message.
 *
 * @throws {Error} what the thread threw; AbortError when nothing comes in 30 s
 */
export async function answerOf(thread: Worker): Promise<unknown> {
  const [message] = (await once(thread, 'message', { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) })) as [
    unknown,
  ];
  return message;
}
