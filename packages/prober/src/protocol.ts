/**
 * What a prober and its clients say to each other: one JSON value a line, over a socket in the user's runtime folder.
 *
 *     client: {"id":1,"request":"add","body":{...}}        one answer for each request, in their order
 *     prober: {"id":1,"answer":{...}}                      or {"id":1,"refusal":{"code":"EINVAL","message":"..."}}
 *             {"note":"..."}                               at any time: a sentence for the user
 *             {"changed":true}                             at any time: there are other probes than before
 *
 * The first request is `hello`; whoever is neither the user nor root is refused. Who hangs up takes the probes along that were added for the connection.
 */
import type { RefusalLogEntry } from '@usertrace/uprobes';

/** Of all that this file describes. A prober and a client of different versions part at `hello`. */
export const PROTOCOL_VERSION = 2;
/** The longest line: a program's environment, which has at most 2 MiB, with each of its characters escaped. */
export const LINE_BYTES_MAX: number = 16 * 1024 * 1024;
/** The most clients at a time. */
export const CLIENTS_MAX = 64;
/** The most requests of one client that wait for those before them; more are left in the socket. */
export const WAITING_REQUESTS_MAX = 16;
/** The most processes that one `add` names. */
export const NAMED_PROCESSES_MAX = 4096;

/** Which processes a probe is for. */
export type ProbeScope =
  /** All of the user's that map the file; for root everybody's. */
  | { readonly kind: 'all' }
  /** These, and the children that they have from then on. */
  | { readonly kind: 'processes'; readonly pids: readonly number[] }
  /** Those that this client launches, and their children. */
  | { readonly kind: 'launched' };

/** How a probe is, or would be, served in a process. */
export interface ProbedProcessListing {
  readonly pid: number;
  readonly comm: string;
  /** `idle`: nobody listens, and the program is untouched. */
  readonly state: 'idle' | 'jump' | 'breakpoint' | 'refused';
  /** Why it is a breakpoint: a JumpObstacle of uprobes. Why it is refused: a sentence. */
  readonly reason?: string;
  /** Of a return probe: at how many of its function's returns there are jumps; `state` is of the others, if there are any. */
  readonly returns?: { readonly jumps: number; readonly all: number };
  readonly hits: number;
  readonly misses: number;
}

/** A probe, as `probe list` shows it. */
export interface ProbeListing {
  /** As uprobe_events lists it. */
  readonly definition: string;
  readonly group: string;
  readonly event: string;
  /** The file, absolute. */
  readonly path: string;
  /** The function that it is in, as the linker knows it, and how far behind its beginning. */
  readonly symbol?: { readonly name: string; readonly offset: number };
  readonly scope: ProbeScope['kind'];
  /** The process for whose connection it was added; undefined when it stays until somebody removes it. */
  readonly client?: number;
  /** The format file of its event, with 0 for its number. */
  readonly format: string;
  readonly hits: number;
  readonly misses: number;
  readonly processes: readonly ProbedProcessListing[];
}

/** The program that a stand-in process becomes. */
export interface LaunchBody {
  /** A process of the client's that waits for nothing else. */
  readonly standIn: number;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Which events of probes for all processes are on in it from its start, besides those of the client's own. */
  readonly patterns: readonly string[];
}

/** What is asked, and what is answered to it. */
export interface Exchanges {
  hello: {
    body: {
      readonly version: number;
      /** Whether the prober need not stay for this client. */
      readonly isObserver: boolean;
    };
    answer: { readonly version: number; readonly pid: number };
  };
  /** Adds the probes of a definition: one, or as many as an SDT name has sites. */
  add: {
    body: {
      /** As uprobe_events takes it, or `sdt:PROVIDER:NAME`. One character a byte. */
      readonly definition: string;
      /** Where relative paths of it begin. */
      readonly folder: string;
      readonly scope: ProbeScope;
      /** Which hits are wanted, as an event's `filter` file takes it; all of them if left out. One character a byte. */
      readonly filter?: string;
      /** Whether it stays when the client is gone. */
      readonly isKept: boolean;
    };
    answer: { readonly events: readonly { readonly group: string; readonly event: string }[] };
  };
  /** Removes the kept probes, and those of this client, whose names match. */
  remove: {
    body: { readonly pattern: string };
    answer: { readonly removed: readonly string[] };
  };
  /** Does what a line written to uprobe_events does. */
  execute: {
    body: { readonly line: string; readonly folder: string };
    answer: Record<string, never>;
  };
  /** Removes all, as opening uprobe_events for writing does. */
  clear: { body: Record<string, never>; answer: Record<string, never> };
  list: { body: Record<string, never>; answer: { readonly probes: readonly ProbeListing[] } };
  /** Answers when the probes that are listened to are in their processes, or it is known why not. */
  sync: { body: Record<string, never>; answer: Record<string, never> };
  /** Answers when the program is about to run its first instruction, with its probes. */
  launch: { body: LaunchBody; answer: Record<string, never> };
}

/** The name of a request. */
export type RequestName = keyof Exchanges;

/** A request as it is sent. */
export interface Request<Name extends RequestName = RequestName> {
  readonly id: number;
  readonly request: Name;
  readonly body: Exchanges[Name]['body'];
}

/** Why a request was not done. */
export interface RefusalBody {
  readonly code: string;
  readonly message: string;
  /** Where in a definition the mistake is. */
  readonly log?: RefusalLogEntry;
}

/** What the prober sends. */
export type ProberMessage =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly refusal: RefusalBody }
  | { readonly note: string }
  | { readonly changed: true };
