/**
 * One process at full speed on one processor, `usertrace record` on the other: what gets into the file, what is lost,
 * and whether the file says so. The file is counted by code of the benchmark's own (recording/trace-dat-count.ts), and
 * compared with what the process itself has counted.
 *
 * The file grows by a gigabyte every few seconds and is deleted at the end. The process stops early rather than fill
 * the disk.
 */
import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inRepository } from '../tests/support/repository.ts';
import { Child } from '../tests/support/child.ts';
import { missing } from '../tests/support/requirements.ts';
import { USERTRACE } from '../tests/support/server.ts';
import { delay } from '../tests/support/wait.ts';
import { processorNs } from './processor-time.ts';
import { type Measurement, type Results, skippedResults } from './measurement.ts';
import { countRecords, type FileCount } from './recording/trace-dat-count.ts';
import { TracingFolder } from './tracing-folder.ts';

const PRODUCER_PROCESSOR = '0';
const RECORDER_PROCESSOR = '1';
const EVENT = 'bench_recording';
/** Discard mode has to count as exactly, for which some seconds are enough. */
const DISCARD_SECONDS_MAX = 10;
/** So much of the disk stays free. */
const FREE_BYTES_MIN = 10 * 2 ** 30;
const DISK_INTERVAL_MS = 250;
const START_TIMEOUT_MS = 20_000;
const FINISH_TIMEOUT_MS = 120_000;

/** Whether new events are lost or old ones when the recorder is too slow. */
type Mode = 'overwrite' | 'discard';

/** What happened, besides what the file says. */
interface Run {
  /** Events in the file, and lost ones, as the recorder says. */
  readonly recorder: { readonly events: number; readonly lost: number };
  /** The producer's own count. */
  readonly emitted: number;
  readonly seconds: number;
  readonly recorderSeconds: number;
  /** Ended early because of the disk. */
  readonly isCut: boolean;
}

async function hasRoom(folder: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize > FREE_BYTES_MIN;
}

/** Lets the producer run for that long, or until the disk has no room. */
async function letRun(producer: Child, seconds: number, folder: string): Promise<boolean> {
  const endsAt = performance.now() + seconds * 1000;
  producer.say('go');
  while (performance.now() < endsAt) {
    if (!(await hasRoom(folder))) return true;
    await delay(Math.min(DISK_INTERVAL_MS, endsAt - performance.now()));
  }
  return false;
}

async function record(file: string, mode: Mode, seconds: number): Promise<Run> {
  await using folder = await TracingFolder.make();
  const producerMain = inRepository('build', 'tools', 'bench', 'recording', 'producer-main.js');
  const producer = new Child('taskset', ['-c', PRODUCER_PROCESSOR, process.execPath, producerMain], {
    env: folder.env(false),
  });
  const args = ['-c', RECORDER_PROCESSOR, process.execPath, USERTRACE];
  args.push('record', '--quiet', '--json', '-e', EVENT, '-o', file);
  if (mode === 'discard') args.push('--discard');
  const recorder = new Child('taskset', args, { env: folder.env(false) });
  try {
    await producer.line(/^on$/, START_TIMEOUT_MS).catch((error: unknown) => {
      throw new Error(`Nobody records: ${recorder.stderr}`, { cause: error });
    });
    const recorderBefore = processorNs(recorder.pid);
    const isCut = await letRun(producer, seconds, path.dirname(file));
    producer.say('stop');
    const [emitted = 0, tookNs = 0] = (await producer.line(/^\d/)).split(' ').map(Number);
    // The recorder may sleep only when it has everything; what it takes after the end counts as well.
    const recorderNs = processorNs(recorder.pid) - recorderBefore;
    const timer = setTimeout(() => void recorder.kill(), FINISH_TIMEOUT_MS);
    const { status } = await recorder.kill('SIGINT');
    clearTimeout(timer);
    if (status !== 0) throw new Error(`usertrace record ended with ${status}: ${recorder.stderr}`);
    return {
      recorder: JSON.parse(await recorder.line(/^{/)) as Run['recorder'],
      emitted,
      seconds: tookNs / 1e9,
      recorderSeconds: recorderNs / 1e9,
      isCut,
    };
  } finally {
    await producer.kill();
    await recorder.kill();
  }
}

function measurementsOf(
  mode: Mode,
  run: Run,
  { records, lost, lostInAll, gaps, bytes }: FileCount,
): Measurement[] {
  const length = `${run.seconds.toFixed(1)} s${run.isCut ? ', ended early because the disk was nearly full' : ''}`;
  return [
    { name: `recording, ${mode}: events emitted`, unit: 'events', samples: [run.emitted], note: length },
    { name: `recording, ${mode}: events in the file`, unit: 'events', samples: [records] },
    { name: `recording, ${mode}: lost, as the file says`, unit: 'events', samples: [lostInAll] },
    {
      name: `recording, ${mode}: in the file and lost, less emitted`,
      unit: 'events',
      samples: [Math.abs(records + lostInAll - run.emitted)],
      goal: { is: 'at most', value: 0 },
    },
    {
      name: `recording, ${mode}: numbers missing between events, less lost there`,
      unit: 'events',
      samples: [Math.abs(gaps - lost)],
      goal: { is: 'at most', value: 0 },
      note: 'each event carries its number',
    },
    {
      name: `recording, ${mode}: in the file, less what the recorder said`,
      unit: 'events',
      samples: [Math.abs(records - run.recorder.events) + Math.abs(lostInAll - run.recorder.lost)],
      goal: { is: 'at most', value: 0 },
    },
    { name: `recording, ${mode}: emitted`, unit: 'events/s', samples: [run.emitted / run.seconds] },
    { name: `recording, ${mode}: written to the file`, unit: 'MB/s', samples: [bytes / 1e6 / run.seconds] },
    {
      name: `recording, ${mode}: share of the events that got into the file`,
      unit: '',
      samples: [records / run.emitted],
    },
    {
      name: `recording, ${mode}: the recorder's processor`,
      unit: 'share',
      samples: [run.recorderSeconds / run.seconds],
    },
  ];
}

/** @param seconds how long the producer runs */
export async function measureRecording(seconds: number): Promise<Results> {
  const lacking = missing('two-processors');
  if (lacking !== undefined) return skippedResults('recording', lacking);
  const folder = await mkdtemp(path.join(tmpdir(), 'usertrace-bench-'));
  try {
    const file = path.join(folder, 'recording.dat');
    const measurements: Measurement[] = [];
    for (const [mode, length] of [
      ['overwrite', seconds],
      ['discard', Math.min(seconds, DISCARD_SECONDS_MAX)],
    ] as const) {
      const run = await record(file, mode, length);
      measurements.push(...measurementsOf(mode, run, countRecords(file)));
      await rm(file);
    }
    return { measurements, skipped: [] };
  } finally {
    await rm(folder, { recursive: true });
  }
}
