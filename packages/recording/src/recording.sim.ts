/** A recording of a folder's providers, as `usertrace record` has it, and what is in its file. */

import { eventMatcher } from '@usertrace/base';
import { nodeFiles, reportJson, TraceDatFile } from '@usertrace/formats';
import { surroundingsOf } from './provider.sim.ts';
import { Recording, type RecordingOptions } from './recording.ts';

/** What a test records. */
export interface SimulatedRecording {
  /** Of makeFolder(), where the providers are. */
  readonly folder: string;
  /** Of the trace.dat. */
  readonly path: string;
  readonly pattern: string;
  /** Gets what the recording warns of. */
  readonly warnings: string[];
}

/** Starts a recording: its first turn has been. Whoever starts it abandons or finishes it. */
export function startRecording(
  { folder, path, pattern, warnings }: SimulatedRecording,
  more: Partial<RecordingOptions>,
): Recording {
  const recording = new Recording({
    path,
    version: 'test',
    patterns: [pattern],
    matches: eventMatcher(pattern),
    mode: 'overwrite',
    wantsProcess: () => true,
    warn: (message) => warnings.push(message),
    surroundings: surroundingsOf(folder),
    ...more,
  });
  recording.turn();
  return recording;
}

/** An event of a trace.dat. */
export interface RecordedEvent {
  readonly name: string;
  readonly pid: number;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly lost: number | 'unknown' | undefined;
}

/** The events of a trace.dat, in the order of their times. */
export function recordedEvents(path: string): RecordedEvent[] {
  const file = nodeFiles().openToRead(path);
  const events = [...reportJson(TraceDatFile.read(file))].map(
    ({ event: name = '', pid, fields = {}, lost }) => ({ name, pid, fields, lost }),
  );
  file.close();
  return events;
}
