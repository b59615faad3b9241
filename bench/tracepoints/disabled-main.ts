/**
 * What something costs a loop while nobody listens, round by round in turn, as a JSON object of nanoseconds.
 *
 * All loops have one shape, and `sum` keeps V8 from leaving anything out. Each is a function of its own text, so that
 * none shares what V8 has learnt about another.
 */
import { channel } from 'node:diagnostics_channel';
import { int, str, tracepoint } from '@usertrace/tracepoint';
import { TEXTS } from './contender.ts';
import { type Loop, roundNs, warmUp } from './rounds.ts';

const ROUNDS = 41;
/** Rounds shorter than the scheduler's time slices are more often undisturbed on a busy machine. */
const ROUND_SHARE = 1 / 16;

const tested = tracepoint('bench_tested', { first: int, second: int, text: str });
const called = tracepoint('bench_called', { first: int, second: int, text: str });
const subscribable = channel('usertrace:bench');
const [TEXT] = TEXTS;

function emptyLoop(count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum += i & 1;
  }
  return sum;
}

function testedLoop(count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum += i & 1;
    if (tested.enabled) tested.emit(i, sum, TEXT);
  }
  return sum;
}

function calledLoop(count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum += i & 1;
    called(i, sum, TEXT);
  }
  return sum;
}

function testedChannelLoop(count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum += i & 1;
    if (subscribable.hasSubscribers) subscribable.publish({ first: i, second: sum, text: TEXT });
  }
  return sum;
}

function publishingLoop(count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum += i & 1;
    subscribable.publish({ first: i, second: sum, text: TEXT });
  }
  return sum;
}

const LOOPS: Record<string, Loop> = {
  'empty loop': emptyLoop,
  'disabled: if (tp.enabled) tp.emit(...)': testedLoop,
  'disabled: tp(...)': calledLoop,
  'diagnostics_channel: if (hasSubscribers) publish({...})': testedChannelLoop,
  'diagnostics_channel: publish({...})': publishingLoop,
};

if (tested.enabled || called.enabled) throw new Error('Somebody listens to all tracepoints of this machine');
const count = Math.floor(Math.min(...Object.values(LOOPS).map(warmUp)) * ROUND_SHARE);
const samples: Record<string, number[]> = {};
for (let round = 0; round < ROUNDS; round++)
  for (const [name, loop] of Object.entries(LOOPS)) (samples[name] ??= []).push(roundNs(loop, count));
console.log(JSON.stringify(samples));
