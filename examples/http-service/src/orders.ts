/**
 * Orders: priced, numbered, and kept until newer ones push them out.
 */
import { itemById } from './catalogue.js';
import * as traced from './tracepoints.js';

/** How many of which item. */
interface Line {
  readonly item: number;
  readonly count: number;
}

/** What was bought. */
export interface Order {
  readonly id: number;
  readonly lines: readonly Line[];
  readonly total: number;
}

const ORDERS_MAX = 10_000;
const LINES_MAX = 100;
const COUNT_MAX = 1_000;

const ordersById = new Map<number, Order>();
let lastId = 0;

function isLine(value: unknown): value is Line {
  const { item, count } = (value ?? {}) as Record<string, unknown>;
  if (typeof item !== 'number' || typeof count !== 'number') return false;
  return itemById(item) !== undefined && Number.isInteger(count) && count > 0 && count <= COUNT_MAX;
}

/**
 * Takes an order.
 *
 * @param body `{"lines": [{"item": 17, "count": 2}]}`
 * @throws {Error} when it is something else, with a message for the customer
 */
export function placeOrder(request: number, body: string): Order {
  const { lines } = (JSON.parse(body) ?? {}) as { lines?: unknown };
  if (!Array.isArray(lines) || lines.length === 0 || lines.length > LINES_MAX || !lines.every(isLine))
    throw new Error(`An order has 1 to ${LINES_MAX} lines of item and count`);
  const total = lines.reduce((sum, { item, count }) => sum + (itemById(item)?.price ?? 0) * count, 0);
  traced.orderPrice(request, lines.length, total);
  const order = { id: ++lastId, lines, total };
  ordersById.set(order.id, order);
  traced.orderStore(request, order.id, ordersById.size);
  if (ordersById.size > ORDERS_MAX) {
    ordersById.delete(lastId - ORDERS_MAX);
    traced.orderForget(lastId - ORDERS_MAX);
  }
  return order;
}

/** An order that is still kept. */
export function orderById(id: number): Order | undefined {
  return ordersById.get(id);
}
