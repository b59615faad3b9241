/**
 * Which slots that were taken and not published a thread still has: while a thread is in a trampoline, or interrupted there by a signal
 * handler, its slot's address is in a register or on its stack, or, before the address is known, the slot's number. All processes that have the lanes mapped
 * are looked at, one after the other; one that nobody traces is attached to for that long.
 */

import { readdirSync } from 'node:fs';
import { ErrnoError } from '@usertrace/base';
import type { Utrace } from '@usertrace/utrace';
import { type Mapping, readMappings } from '../process/process-maps.ts';
import type { HeldSlot } from '../lane/lane.ts';
import { CONTROL_BYTES } from '../trampoline/lane-layout.ts';
import { CODE_AT, CODE_BYTES } from './code-region.ts';
import type { HeldLanes } from './jump-hits.ts';
import { StoppedProcess } from './stopped-process.ts';
import { type Span, ThreadPositions } from './thread-positions.ts';

const STOP_DEADLINE_MS = 1_000;

/** @returns those that may be published yet; all of them when a process could not be stopped */
export async function slotsInUse(
  utrace: Utrace,
  { lanes, slots }: Pick<HeldLanes, 'lanes' | 'slots'>,
): Promise<Set<HeldSlot>> {
  const all = new Set(slots);
  const inUse = new Set<HeldSlot>();
  if (all.size === 0) return inUse;
  const addressOf = ({ offset }: HeldSlot): number => lanes.addressInProgram + offset;
  const addresses = new Set(slots.map(addressOf));
  const numbers = new Set(slots.flatMap(({ number }) => [number, number + 1]));
  for (const pid of processesWith(lanes.identity)) {
    try {
      const { positions, code } = await positionsOf(utrace, pid, lanes.identity);
      const mentioned = positions.mentioned(addresses);
      // Numbers are many things; only of a thread that is there they may be slots'.
      const numbered = positions.areIn(code) ? positions.mentioned(numbers) : new Set<number>();
      if (mentioned === undefined || numbered === undefined) return all;
      for (const slot of slots) {
        const isNumbered = numbered.has(slot.number) || numbered.has(slot.number + 1);
        if (isNumbered || mentioned.has(addressOf(slot))) inUse.add(slot);
      }
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error;
      // It may have ended meanwhile, and its threads with it.
      if (error.code !== 'ESRCH' || hasMapped(pid, lanes.identity)) return all;
    }
  }
  return inUse;
}

async function positionsOf(
  utrace: Utrace,
  pid: number,
  identity: string,
): Promise<{ positions: ThreadPositions; code: Span[] }> {
  const stopped = await StoppedProcess.stop(utrace, pid, STOP_DEADLINE_MS);
  try {
    const mappings = mappingsOf(pid);
    return { positions: new ThreadPositions(stopped.tasks, mappings), code: codeSpans(mappings, identity) };
  } finally {
    await stopped.release();
  }
}

/** Where trampolines can be. */
function codeSpans(mappings: readonly Mapping[], identity: string): Span[] {
  return mappings
    .filter(
      // The lanes' own mapping is larger.
      ({ identity: mapped, offset, start, end }) =>
        mapped === identity && offset === 0 && end - start === CONTROL_BYTES,
    )
    .map(({ start }) => ({ from: start + CODE_AT, to: start + CODE_AT + CODE_BYTES }));
}

function processesWith(identity: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^[0-9]+$/u.test(name));
  return pids.map(Number).filter((pid) => pid !== process.pid && hasMapped(pid, identity));
}

function hasMapped(pid: number, identity: string): boolean {
  return mappingsOf(pid).some((mapping) => mapping.identity === identity);
}

/** None when it is gone, or may not be looked at. */
function mappingsOf(pid: number): Mapping[] {
  try {
    return readMappings(pid);
  } catch {
    return [];
  }
}
