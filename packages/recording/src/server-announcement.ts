/**
 * How a server that plays the kernel's user_events tells programs that were there before it: it writes its folder into their
 * provider files, and asks for attention through their enable words. A program's following event then looks at the folder and
 * registers there (abi/provider/layout.ts).
 */
import { ATTENTION_BYTE, KERNEL_PATH_MAX, PROVIDER_HEADER, PROVIDER_OFFSET } from '@usertrace/abi';
import type { RuntimeSurroundings } from '@usertrace/linux';
import { ProviderFile } from './provider-file.ts';
import { listProviders, OWN_SURROUNDINGS } from './provider-search.ts';
import { releaseControl, takeControl } from './session-control.ts';

/** How long a tracer that is changing sessions is waited for; it takes microseconds, unless it was stopped. */
const CONTROL_PATIENCE_MS = 20;

/**
 * Announces a server to the programs whose provider files this user may change: its own, for root everybody's.
 *
 * @param folder the tracefs folder that is served; an absolute path
 * @param surroundings whose programs
 * @returns how many threads were told
 */
export function announceServer(folder: string, surroundings: RuntimeSurroundings = OWN_SURROUNDINGS): number {
  const path = Buffer.from(folder);
  if (path.length > KERNEL_PATH_MAX) return 0;
  let told = 0;
  for (const place of listProviders(surroundings)) {
    try {
      const file = ProviderFile.open(place.path, place.owner, 'change');
      try {
        if (file.isAlive && !file.isProbers && announceTo(file, path)) told += 1;
      } finally {
        file.close();
      }
    } catch {
      // It is another's, or half made, or of another version: it will find the server by itself, or not at all.
    }
  }
  return told;
}

function announceTo(file: ProviderFile, path: Buffer): boolean {
  if (!takeControl(file, CONTROL_PATIENCE_MS)) return false;
  try {
    file.write(path, PROVIDER_HEADER.kernelPath);
    file.write(numberBytes(path.length), PROVIDER_HEADER.kernelPathLength);
    const count = file.bytes(PROVIDER_HEADER.kernelAnnouncements, 4).readUInt32LE();
    file.write(numberBytes((count + 1) >>> 0), PROVIDER_HEADER.kernelAnnouncements);
  } finally {
    releaseControl(file);
  }
  const { eventCount } = file.header();
  for (let index = 0; index < eventCount; index++) {
    file.write(Buffer.from([1]), PROVIDER_OFFSET.words + index * 4 + ATTENTION_BYTE);
  }
  return true;
}

function numberBytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
