/**
 * Starts the shop at $PORT (default 8080), until SIGINT or SIGTERM.
 */
import type { AddressInfo } from 'node:net';
import { createShop } from './server.js';

const shop = createShop();
shop.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', () => {
  const { port } = shop.address() as AddressInfo;
  console.log(`listening at http://127.0.0.1:${port}`);
});
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    shop.close();
    shop.closeAllConnections();
  });
