/** Names of threads. */

import { readFileSync } from 'node:fs';

/** @returns its name, one character a byte; empty when it is gone */
export function commOf(tid: number): string {
  try {
    return readFileSync(`/proc/${tid}/comm`, 'latin1').replace(/\n$/u, '');
  } catch {
    return '';
  }
}

/** How long a name is taken for true without looking again, in milliseconds. */
const RECENT_MS = 100;
const RECENT_MAX = 4_096;
const recent = new Map<number, { readonly comm: string; readonly untilMs: number }>();

/** The same, of some time in the last 100 ms: for hits that come by the million. */
export function recentCommOf(tid: number): string {
  const nowMs = performance.now();
  const known = recent.get(tid);
  if (known !== undefined && nowMs < known.untilMs) return known.comm;
  const comm = commOf(tid);
  if (recent.size >= RECENT_MAX) recent.clear();
  recent.set(tid, { comm, untilMs: nowMs + RECENT_MS });
  return comm;
}
