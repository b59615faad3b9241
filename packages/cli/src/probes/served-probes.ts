/**
 * `ServedProbes`: the probes of this user as the served tree shows them. It is a client of the prober, which it starts when somebody
 * writes a definition into the tree; until then, and when the prober has ended, it waits for its socket to appear. Probes that were
 * made through the tree are this process's, and end with it.
 */

import { COMMON_FIELDS_SIZE, type FilterField } from '@usertrace/abi';
import { type ErrnoName, isErrnoName, Tid } from '@usertrace/base';
import { EntryView, probePrinter, parseEventFormat } from '@usertrace/formats';
import { type ProbeListing, ProberClient, ProberRefusal, proberSocketPath } from '@usertrace/prober';
import { LiveEvents, OWN_SURROUNDINGS } from '@usertrace/recording';
import type {
  Caller,
  ProbeEventIdentity,
  ProbeRefusal,
  ProbesObserver,
  ProbesPort,
} from '@usertrace/tracefs';
import { filterFields, parseDefinition } from '@usertrace/uprobes';
import { existsSync, readlinkSync } from 'node:fs';
import { anyEventMatcher } from '../pattern.ts';

/** Pauses between looks for hits, in milliseconds. */
const PAUSE_MS = { busy: 1, idle: 10 } as const;
const BUSY_FILL = 1 / 16;
/** How often a prober is looked for that somebody else has started: probes of commands are so late in the tree. */
const SEARCH_INTERVAL_MS = 250;
/** Names that a session holds; for more than so many characters it is told of all, and others are left out here. */
const PATTERNS_LENGTH_MAX = 600;
/** A command that removes probes: all of an event, or of a group, unless it says more of them. */
const REMOVAL = /^-:(?=\S)(?:(?<group>[^\s/]+)\/)?(?<event>[^\s/]*)(?<more>\s+\S.*)?\s*$/;
/** Columns of uprobe_profile. */
const PROFILE_WIDTH = { event: 44, hits: 15 } as const;

export class ServedProbes implements ProbesPort {
  #observer: ProbesObserver | undefined;
  #client: Promise<ProberClient | undefined> | undefined;
  #search: NodeJS.Timeout | undefined;
  /** Events that the observer knows, with their formats. */
  readonly #formatByName = new Map<string, string>();
  #live: LiveEvents | undefined;
  #liveTimer: NodeJS.Timeout | undefined;
  #wanted: ReadonlySet<string> = new Set();
  #refreshing: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** Told what goes wrong and nobody can be answered. */
  readonly #warn: (text: string) => void;

  constructor(warn: (text: string) => void) {
    this.#warn = warn;
  }

  observe(observer: ProbesObserver): void {
    this.#observer = observer;
    let path: string;
    try {
      path = proberSocketPath(OWN_SURROUNDINGS);
    } catch {
      // Without a runtime folder there is no prober; who writes a definition is told.
      return;
    }
    this.#search = setInterval(() => {
      if (this.#client === undefined && existsSync(path)) void this.#refresh();
    }, SEARCH_INTERVAL_MS).unref();
    void this.#refresh();
  }

  async listing(): Promise<string> {
    return (await this.#probes()).map(({ definition }) => `${definition}\n`).join('');
  }

  async profile(): Promise<string> {
    return (await this.#probes())
      .map(({ definition, event, hits }) => {
        const place = definition.split(' ')[1] ?? '';
        const path = place.slice(0, place.lastIndexOf(':'));
        return `  ${path} ${event.padEnd(PROFILE_WIDTH.event)} ${String(hits).padStart(PROFILE_WIDTH.hits)}\n`;
      })
      .join('');
  }

  async execute(line: string, { tid }: Caller): Promise<ProbeRefusal | undefined> {
    const removal = REMOVAL.exec(line)?.groups;
    if (removal !== undefined) {
      // Where there is no prober, there is nothing to remove.
      if (!(await this.#hasProber())) return { code: 'ENOENT' };
      // The prober knows of listeners only where a program is probed.
      const { group, event, more } = removal;
      if (more === undefined && this.#isWanted(group, event)) return { code: 'EBUSY' };
    }
    return this.#change(async (client) => {
      await client.request('execute', { line, folder: folderOf(tid) });
    });
  }

  async clear(): Promise<ProbeRefusal | undefined> {
    if (!(await this.#hasProber())) return undefined;
    return this.#change(async (client) => {
      await client.request('clear', {});
    });
  }

  async listen(events: readonly string[]): Promise<void> {
    this.#wanted = new Set(events);
    if (events.length === 0) this.#stopListening();
    else {
      const isLong = events.join(' ').length > PATTERNS_LENGTH_MAX;
      const choice = {
        patterns: isLong ? ['*'] : events,
        matches: (system: string, event: string) => this.#wanted.has(`${system}:${event}`),
      };
      anyEventMatcher(choice.patterns);
      if (this.#live === undefined) {
        this.#live = new LiveEvents({
          ...choice,
          mode: 'overwrite',
          wantsProcess: isProbed,
          warn: this.#warn,
        });
      } else this.#live.change(choice);
      this.#turn();
    }
    const client = await this.#connected(false);
    await client?.request('sync', {}).catch(() => undefined);
  }

  /** Ends it: its probes are taken away. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#search);
    this.#stopListening();
    (await this.#client)?.close();
  }

  /** Asks for a change; once more when the prober ended meanwhile, as it does with its last probe. */
  async #change(
    request: (client: ProberClient) => Promise<void>,
    mayRepeat = true,
  ): Promise<ProbeRefusal | undefined> {
    let client: ProberClient | undefined;
    try {
      client = await this.#connected(true);
      if (client === undefined) return { code: 'ENODEV' };
      await request(client);
      await this.#refresh();
      return undefined;
    } catch (error) {
      if (error instanceof ProberRefusal) return refusalOf(error);
      if (mayRepeat && client?.over.aborted === true) return this.#change(request, false);
      this.#warn((error as Error).message);
      return { code: 'EIO' };
    }
  }

  async #probes(): Promise<readonly ProbeListing[]> {
    try {
      const client = await this.#connected(false);
      return client === undefined ? [] : (await client.request('list', {})).probes;
    } catch {
      // It has ended meanwhile, and its probes with it.
      return [];
    }
  }

  /** Whether somebody listens to one of these events in the tree. An empty name stands for all of its group. */
  #isWanted(group: string | undefined, event: string | undefined): boolean {
    return [...this.#wanted].some((name) => {
      const [system, own] = name.split(':');
      return (group === undefined || group === system) && (event === '' || event === own);
    });
  }

  /** Whether there is a prober; none is started. */
  async #hasProber(): Promise<boolean> {
    return (await this.#connected(false).catch(() => undefined)) !== undefined;
  }

  /** @returns undefined when there is no prober, and none may be started */
  async #connected(mayStart: boolean): Promise<ProberClient | undefined> {
    const present = await this.#client;
    if (present !== undefined || this.#isClosed) return present;
    const client = ProberClient.connect({
      mayStart,
      isObserver: true,
      note: this.#warn,
      changed: () => void this.#refresh(),
      surroundings: OWN_SURROUNDINGS,
    });
    this.#client = client.catch(() => undefined);
    const connection = await client;
    connection?.over.addEventListener('abort', () => {
      this.#client = undefined;
      void this.#refresh();
    });
    if (connection === undefined) this.#client = undefined;
    return connection;
  }

  /** Tells the observer of the events that have come and gone, one look after another. */
  #refresh(): Promise<void> {
    this.#refreshing = this.#refreshing.then(async () => {
      if (this.#isClosed) return;
      const probes = await this.#probes();
      const present = new Map(probes.map(({ group, event, format }) => [`${group}:${event}`, format]));
      for (const [name, format] of this.#formatByName) {
        if (present.get(name) === format) continue;
        this.#formatByName.delete(name);
        const [system = '', event = ''] = name.split(':');
        this.#observer?.removed(system, event);
      }
      for (const probe of probes) {
        const { group, event, format } = probe;
        if (this.#formatByName.has(`${group}:${event}`)) continue;
        this.#formatByName.set(`${group}:${event}`, format);
        this.#observer?.added(identityOf(probe));
      }
    });
    return this.#refreshing;
  }

  #turn(): void {
    clearTimeout(this.#liveTimer);
    if (this.#live === undefined) return;
    const { events, fill } = this.#live.turn();
    for (const { system, name, tid, comm, timestamp, entry } of events) {
      if (!this.#wanted.has(`${system}:${name}`)) continue;
      this.#observer?.hit(system, name, {
        tid: Tid(tid),
        comm,
        timeNs: timestamp,
        entry,
        payload: entry.subarray(COMMON_FIELDS_SIZE),
      });
    }
    this.#liveTimer = setTimeout(() => this.#turn(), fill > BUSY_FILL ? PAUSE_MS.busy : PAUSE_MS.idle);
  }

  #stopListening(): void {
    clearTimeout(this.#liveTimer);
    this.#live?.stop();
    this.#live = undefined;
  }
}

function identityOf({ group: system, event: name, format, definition }: ProbeListing): ProbeEventIdentity {
  const parsed = parseEventFormat(system, format);
  const printer = parsed === undefined ? undefined : probePrinter(parsed);
  const view = new EntryView();
  return {
    system,
    name,
    formatText: (id) => format.replace('\nID: 0\n', `\nID: ${id}\n`),
    print: (entry) => {
      view.set(entry);
      return printer?.(view) ?? '';
    },
    filterFields: probeFilterFields(definition),
  };
}

/** What a filter of a probe's event may name. Hits do not tell their CPU. */
function probeFilterFields(line: string): readonly FilterField[] {
  const definition = parseDefinition(line, { look: () => ({ kind: 'regular', identity: '' }) });
  return definition === undefined ? [] : filterFields(definition).filter(({ kind }) => kind !== 'cpu');
}

function refusalOf(error: ProberRefusal): ProbeRefusal {
  const code: ErrnoName = isErrnoName(error.code) ? error.code : 'EIO';
  return error.log === undefined ? { code } : { code, log: error.log };
}

/** Only files of probers are of interest, and these have thread 0. */
function isProbed(_: number, tid: number): boolean {
  return tid === 0;
}

/** Where a thread's relative paths begin. */
function folderOf(tid: number): string {
  try {
    return readlinkSync(`/proc/${tid}/cwd`);
  } catch {
    return '/';
  }
}
