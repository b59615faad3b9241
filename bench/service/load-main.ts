/**
 * The load of the service benchmark: for each URL on standard input, asks it for ROUND_SECONDS with autocannon, and
 * prints `REQUESTS SECONDS`: how many answers came, and how long from the first to the last.
 *
 * A process of its own, so that it can have a processor of its own. autocannon's own times are in whole seconds.
 */
import { createInterface } from 'node:readline';
import autocannon from 'autocannon';

const ROUND_SECONDS = 1;
const CONNECTIONS = 20;

/** What is asked in turn: cached answers, single things, orders, and what there is not. */
const REQUESTS: autocannon.Request[] = [
  { method: 'GET', path: '/items?colour=red' },
  { method: 'GET', path: '/items/17' },
  { method: 'POST', path: '/orders', body: '{"lines":[{"item":17,"count":2},{"item":4,"count":1}]}' },
  { method: 'GET', path: '/orders/1' },
  { method: 'GET', path: '/items?colour=green' },
  { method: 'GET', path: '/items/404' },
  { method: 'POST', path: '/orders', body: '{"lines":[]}' },
  { method: 'GET', path: '/nothing' },
];

async function load(url: string): Promise<string> {
  let firstAt = 0;
  let lastAt = 0;
  let answers = 0;
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const instance = autocannon(
      { url, duration: ROUND_SECONDS, connections: CONNECTIONS, requests: REQUESTS },
      (error: unknown, finished) => {
        if (error === null || error === undefined) resolve(finished);
        else reject(error instanceof Error ? error : new Error('autocannon failed', { cause: error }));
      },
    );
    instance.on('response', () => {
      lastAt = performance.now();
      if (answers++ === 0) firstAt = lastAt;
    });
  });
  if (result.errors > 0 || answers < 2)
    throw new Error(`${result.errors} requests failed, ${answers} were answered`);
  return `${answers} ${(lastAt - firstAt) / 1000}`;
}

for await (const url of createInterface({ input: process.stdin })) console.log(await load(url));
