/**
 * Copies of what lanes hold, into a file of their own: `usertrace snapshot` of a process that runs on, and `usertrace
 * recover` of one that has died. Nothing in the lanes is changed, and nobody notices.
 */
import type { ProviderEvent } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import type { FinishResult, RecordingFile } from '@usertrace/formats';
import { addEvents, emptyRules } from './attached-provider.ts';
import { EventCatalog } from './event-catalog.ts';
import { FileLane } from './file-lane.ts';
import { LaneCopy } from './lane-copy.ts';
import type { ProviderFile } from './provider-file.ts';
import type { EventChoice } from './provider-session.ts';
import { commText, createFile } from './recording-files.ts';

/** Batches that are read of a lane at most: the largest lane's, and as much again that a living writer adds. */
const BATCHES_MAX = 8192;

/** What a dump holds. */
export interface LaneDump {
  readonly events: number;
  /** Events that were overwritten while they were copied, or discarded in between. */
  readonly lost: number;
  /** Events before the oldest that is left: of a flight recorder, and not lost to anybody. The file says it too. */
  readonly overwritten: number;
  readonly threads: number;
  /** Pages that made no sense from some byte on. */
  readonly damagedPages: number;
  /** Why lanes could not be read to their end. */
  readonly warnings: readonly string[];
  readonly finish: FinishResult;
}

/**
 * Writes what the lanes of some threads hold into a file.
 *
 * @param files the providers'; they stay open
 * @param path the file; what is in it is lost
 * @param version of this program
 * @param choice the events that are meant; all without it
 * @throws {Error} Node's, when the file cannot be written
 */
export async function dumpLanes(
  files: readonly ProviderFile[],
  path: string,
  version: string,
  choice?: Pick<EventChoice, 'matches'>,
): Promise<LaneDump> {
  const output = createFile(path, version);
  const catalog = new EventCatalog((format) => output.addFormat(format));
  const totals = { events: 0, lost: 0, overwritten: 0, threads: 0, damagedPages: 0 };
  const warnings: string[] = [];
  try {
    for (const file of files) {
      const copy = copyLane(file, output, catalog, warnings, choice);
      if (copy === undefined) continue;
      totals.events += copy.events;
      totals.lost += copy.lost - copy.lostAtFirst;
      totals.overwritten += copy.lostAtFirst;
      totals.damagedPages += copy.damagedPages;
      totals.threads += 1;
    }
  } catch (error) {
    output.close();
    throw error;
  }
  return { ...totals, warnings, finish: await output.finish() };
}

/** Whether a provider's lane has ever held an event; also when it is damaged, so that nobody knows. */
export function hasEvents(file: ProviderFile): boolean {
  try {
    return (file.laneReader()?.state().begun ?? -1) >= 0;
  } catch {
    return true;
  }
}

/** @returns undefined when the thread has no lane */
function copyLane(
  file: ProviderFile,
  output: RecordingFile,
  catalog: EventCatalog,
  warnings: string[],
  choice: Pick<EventChoice, 'matches'> | undefined,
): LaneCopy | undefined {
  let copy: LaneCopy | undefined;
  try {
    const reader = file.laneReader();
    if (reader === undefined) return undefined;
    // From the first event on: what was overwritten is marked before the oldest that is left.
    const rules = emptyRules(file);
    const isMeant = ({ system, name }: ProviderEvent): boolean => choice?.matches(system, name) ?? true;
    const refresh = (): void =>
      addEvents(rules, file.events(), (event) => (isMeant(event) ? catalog.idOf(event) : undefined));
    refresh();
    copy = new LaneCopy({
      reader,
      rules,
      from: 0n,
      createdAt: BigInt(Math.floor(file.opened.createdAt)),
      sink: new FileLane(output),
      refresh,
    });
    for (const [tid, comm] of file.threadNames()) output.setComm(tid, commText(comm));
    copy.turn(BATCHES_MAX);
  } catch (error) {
    // What was read before it stays; a full disk is nobody's fault but the disk's.
    if (!(error instanceof ErrnoError)) throw error;
    warnings.push(error.message);
  }
  return copy;
}
