/**
 * Every tracepoint of the service. Each names what happened, and has the fields that somebody who looks will want.
 * They are there in production as well: off, one costs a load and a test.
 *
 * `request` is the number of the HTTP request, so that what belongs together can be found in a recording.
 */
import { f64, str, tracepoint, u16, u32 } from '@usertrace/tracepoint';

export const requestStart = tracepoint('http_request_start', { request: u32, method: str, url: str });
export const requestBody = tracepoint('http_request_body', { request: u32, bytes: u32 });
export const requestEnd = tracepoint('http_request_end', { request: u32, status: u16, bytes: u32 });
export const requestFail = tracepoint('http_request_fail', { request: u32, status: u16, reason: str });
export const routeMatch = tracepoint('http_route', { request: u32, route: str });

export const cacheHit = tracepoint('cache_hit', { request: u32, key: str });
export const cacheMiss = tracepoint('cache_miss', { request: u32, key: str, entries: u32 });
export const cacheEvict = tracepoint('cache_evict', { key: str, hits: u32 });

export const catalogueScan = tracepoint('catalogue_scan', { request: u32, colour: str, found: u32 });
export const orderPrice = tracepoint('order_price', { request: u32, lines: u16, total: f64 });
export const orderStore = tracepoint('order_store', { request: u32, order: u32, kept: u32 });
export const orderForget = tracepoint('order_forget', { order: u32 });
