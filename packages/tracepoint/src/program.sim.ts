/**
 * Programs for the tests: scripts that import this package, as it is bundled for publishing, run by this Node. Each test has a
 * runtime folder of its own. And a reader of provider files, the simplest that there can be: it trusts what it reads.
 */
import {
  decodeEventTable,
  decodeSubBuffer,
  type EventField,
  LANE,
  lanePagesOffset,
  PAGE_ROW,
  PAGE_ROW_SIZE,
  PAGE_TABLE_OFFSET,
  PROVIDER_HEADER,
  PROVIDER_OFFSET,
  readCommonFields,
  SUB_BUFFER_SIZE,
} from '@usertrace/abi';
import { build } from 'esbuild';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ENTRY = fileURLToPath(new URL('index.ts', import.meta.url));
const LINUX = new URL('../../linux/package.json', import.meta.url).href;
const PROGRAM_DEADLINE_MS = 60_000;

/** A folder with the package in it, for `import` and `require`, and a runtime folder. */
export class Workshop {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'usertrace-programs-'));
  readonly runtime: string = mkdtempSync('/dev/shm/usertrace-test-');
  readonly environment: NodeJS.ProcessEnv = {
    ...process.env,
    NODE_OPTIONS: '',
    USERTRACE_RUNTIME_DIR: this.runtime,
    USERTRACE_MOUNT: join(this.folder, 'no-server'),
  };

  async prepare(): Promise<this> {
    for (const [format, name] of [
      ['esm', 'tracepoint.mjs'],
      ['cjs', 'tracepoint.cjs'],
    ] as const) {
      await build({
        entryPoints: [ENTRY],
        outfile: join(this.folder, name),
        bundle: true,
        platform: 'node',
        target: 'node20',
        format,
        conditions: ['usertrace-source'],
        // From where koffi is found.
        define: { 'import.meta.url': JSON.stringify(LINUX) },
        logLevel: 'error',
      });
    }
    return this;
  }

  /** Writes a program; `mjs` programs find everything of this package in scope. */
  write(name: string, source: string): string {
    const path = join(this.folder, name);
    const text = name.endsWith('.mjs')
      ? `import * as ut from '${this.folder}/tracepoint.mjs';\n${source}`
      : source;
    writeFileSync(path, text);
    return path;
  }

  /** Runs a program to its end. */
  run(
    name: string,
    source: string,
    { flags = [], environment = {} }: { flags?: readonly string[]; environment?: NodeJS.ProcessEnv } = {},
  ): { status: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string } {
    return spawnSync(process.execPath, [...flags, this.write(name, source)], {
      env: { ...this.environment, ...environment },
      encoding: 'utf8',
      timeout: PROGRAM_DEADLINE_MS,
      killSignal: 'SIGKILL',
    });
  }

  /** Starts a program whose output comes in lines. The caller kills it. */
  start(name: string, source: string, environment: NodeJS.ProcessEnv = {}): RunningProgram {
    const path = this.write(name, source);
    return new RunningProgram(
      spawn(process.execPath, [path], { env: { ...this.environment, ...environment } }),
    );
  }

  /** The provider files that are there. */
  providers(): string[] {
    return readdirSync(this.runtime)
      .toSorted()
      .map((name) => join(this.runtime, name));
  }

  /** The only provider file that is there. */
  provider(): ProviderContent {
    const [path, ...others] = this.providers();
    if (path === undefined || others.length > 0)
      throw new Error(`there are ${others.length + 1} provider files`);
    return readProvider(path);
  }

  /** Makes the runtime folder as it was. */
  clear(): void {
    for (const path of this.providers()) rmSync(path);
    chmodSync(this.runtime, 0o700);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
    rmSync(this.runtime, { recursive: true, force: true });
  }
}

export class RunningProgram {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  #output = '';

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    this.ended = new Promise((resolve) => child.on('close', () => resolve()));
  }

  get output(): string {
    return this.#output;
  }

  /** Waits until it has printed a text. */
  async printed(text: string): Promise<void> {
    await until(
      () => this.#output.includes(text),
      () => `"${text}" in:\n${this.#output}`,
    );
  }

  say(line: string): void {
    this.child.stdin?.write(`${line}\n`);
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.child.kill(signal);
    await this.ended;
  }
}

/** Waits for a condition, with a deadline. */
export async function until(holds: () => boolean, what: () => string): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`Waited too long for ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** An event in a lane. */
export interface ReadEvent {
  readonly name: string;
  readonly timestamp: bigint;
  readonly tid: number;
  readonly values: readonly (number | bigint | string)[];
}

/** What a provider file says. */
export interface ProviderContent {
  readonly path: string;
  readonly pid: number;
  readonly tid: number;
  readonly words: readonly number[];
  readonly names: readonly string[];
  readonly events: readonly ReadEvent[];
  /** Events that were taken into pages which are no longer there. */
  readonly overwritten: number;
  readonly discarded: number;
  readonly pageCount: number;
}

/** Reads a provider file whose program has ended, or writes nothing now. */
export function readProvider(path: string): ProviderContent {
  const file = readFileSync(path);
  const eventCount = file.readUInt32LE(PROVIDER_HEADER.eventCount);
  const tableLength = file.readUInt32LE(PROVIDER_HEADER.eventTableLength);
  const table = file.subarray(PROVIDER_OFFSET.events, PROVIDER_OFFSET.events + tableLength);
  const { events: declared } = decodeEventTable(table, eventCount);
  const byId = new Map(declared.map((event) => [event.id, event]));
  const pageCount = file.readUInt32LE(PROVIDER_HEADER.pageCount);
  const lane = file.subarray(PROVIDER_OFFSET.lane);
  const begun = pageCount === 0 ? -1 : lane.readDoubleLE(LANE.begun);
  const claimed = pageCount === 0 ? -1 : lane.readDoubleLE(LANE.claimed);
  const first = Math.max(0, claimed - pageCount + 1);
  const events: ReadEvent[] = [];
  for (let page = first; page <= begun; page++) {
    const start = lanePagesOffset(pageCount) + (page % pageCount) * SUB_BUFFER_SIZE;
    for (const { timestamp, entry } of decodeSubBuffer(lane.subarray(start, start + SUB_BUFFER_SIZE))) {
      const { type, pid } = readCommonFields(entry);
      const event = byId.get(type);
      if (event === undefined) throw new Error(`no event has id ${type}`);
      const values = event.fields.map((field) => valueOf(Buffer.from(entry), field));
      events.push({ name: event.name, timestamp, tid: pid, values });
    }
  }
  const row = PAGE_TABLE_OFFSET + (first % Math.max(pageCount, 1)) * PAGE_ROW_SIZE;
  return {
    path,
    pid: file.readInt32LE(PROVIDER_HEADER.pid),
    tid: file.readInt32LE(PROVIDER_HEADER.tid),
    words: declared.map(({ index }) => file.readUInt32LE(PROVIDER_OFFSET.words + index * 4)),
    names: declared.map(({ name }) => name),
    events,
    overwritten: begun < 0 ? 0 : lane.readDoubleLE(row + PAGE_ROW.eventsBefore),
    discarded: pageCount === 0 ? 0 : lane.readDoubleLE(LANE.discarded),
    pageCount,
  };
}

function valueOf(entry: Buffer, { type, offset, size }: EventField): number | bigint | string {
  if (type === '__rel_loc char[]') {
    const start = entry.readUInt16LE(offset) + offset + 4;
    return entry.toString('utf8', start, start + entry.readUInt16LE(offset + 2) - 1);
  }
  return size === 8 ? entry.readBigUInt64LE(offset) : entry.readUIntLE(offset, size);
}
