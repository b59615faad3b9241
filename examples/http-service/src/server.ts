/**
 * The shop's HTTP interface:
 *
 *     GET  /items?colour=red   all items of a colour
 *     GET  /items/17           one item
 *     POST /orders             {"lines": [{"item": 17, "count": 2}]}
 *     GET  /orders/1           an order
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { itemById, itemsOfColour } from './catalogue.js';
import { orderById, placeOrder } from './orders.js';
import * as traced from './tracepoints.js';

const BODY_MAX = 64 * 1024;

/** An answer: a status, and a body of JSON. */
interface Answer {
  readonly status: number;
  readonly body: string;
}

let lastRequest = 0;

function found(value: unknown): Answer {
  return value === undefined
    ? { status: 404, body: '{"error":"There is no such thing"}' }
    : { status: 200, body: JSON.stringify(value) };
}

function bodyOf(request: number, message: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    let body = '';
    message.setEncoding('utf8').on('data', (text: string) => {
      body += text;
      if (body.length > BODY_MAX) message.destroy(new Error('The body is too long'));
    });
    message.on('error', reject).on('end', () => {
      if (traced.requestBody.enabled) traced.requestBody.emit(request, Buffer.byteLength(body));
      resolve(body);
    });
  });
}

async function answer(request: number, message: IncomingMessage): Promise<Answer> {
  const url = new URL(message.url ?? '/', 'http://shop');
  const route = `${message.method} ${url.pathname.replace(/\d+/, 'ID')}`;
  traced.routeMatch(request, route);
  const id = Number(/\d+/.exec(url.pathname)?.[0]);
  switch (route) {
    case 'GET /items':
      return { status: 200, body: itemsOfColour(request, url.searchParams.get('colour') ?? '') };
    case 'GET /items/ID':
      return found(itemById(id));
    case 'GET /orders/ID':
      return found(orderById(id));
    case 'POST /orders':
      return { status: 201, body: JSON.stringify(placeOrder(request, await bodyOf(request, message))) };
    default:
      return found(undefined);
  }
}

async function serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
  const request = ++lastRequest;
  traced.requestStart(request, message.method ?? '', message.url ?? '');
  let { status, body } = { status: 400, body: '' };
  try {
    ({ status, body } = await answer(request, message));
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'It went wrong';
    traced.requestFail(request, status, reason);
    body = JSON.stringify({ error: reason });
  }
  response.writeHead(status, { 'content-type': 'application/json' }).end(body);
  traced.requestEnd(request, status, body.length);
}

/** The shop, not yet listening. */
export function createShop(): Server {
  return createServer((message, response) => void serve(message, response));
}
