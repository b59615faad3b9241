/**
 * Two worker threads, each measured alone and then both at once, round by round; printed as a JSON object of each
 * one's share of its lone speed. Beside the events, a loop that touches no memory, which tells what the machine itself
 * takes from two threads at once.
 */
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { answerOf } from '../worker-answer.ts';
import { type Loop, roundNs, warmUp } from './rounds.ts';
import { openContender } from './usertrace.ts';

const THREADS = 2;
const ROUNDS = 11;

/** What a thread is asked to do in a round. */
type Task = 'events' | 'sums';

function addUp(count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += i & 1;
  return sum;
}

function work(): void {
  const { loops } = openContender();
  const tasks: Record<Task, Loop> = { events: loops.text, sums: addUp };
  const counts: Record<Task, number> = { events: warmUp(tasks.events), sums: warmUp(tasks.sums) };
  parentPort?.on('message', (task: Task) => parentPort?.postMessage(roundNs(tasks[task], counts[task])));
  parentPort?.postMessage('ready');
}

function ask(worker: Worker, task: Task): Promise<number> {
  const answer = answerOf(worker) as Promise<number>;
  worker.postMessage(task);
  return answer;
}

async function shares(workers: readonly Worker[], task: Task): Promise<number[]> {
  const alone: number[] = [];
  for (const worker of workers) alone.push(await ask(worker, task));
  const together = await Promise.all(workers.map((worker) => ask(worker, task)));
  return together.map((ns, thread) => (alone[thread] ?? Number.NaN) / ns);
}

async function main(): Promise<void> {
  const workers = Array.from({ length: THREADS }, () => new Worker(new URL(import.meta.url)));
  await Promise.all(workers.map(answerOf));
  const samples: Record<Task, number[]> = { events: [], sums: [] };
  for (let round = 0; round < ROUNDS; round++)
    for (const task of ['events', 'sums'] as const) samples[task].push(...(await shares(workers, task)));
  await Promise.all(workers.map((worker) => worker.terminate()));
  console.log(JSON.stringify(samples));
}

if (isMainThread) await main();
else work();
