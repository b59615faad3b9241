/**
 * `ProberClient`: a connection to the user's prober. What was added for it goes away when it is closed, or when this process ends.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { RefusalLogEntry } from '@usertrace/uprobes';
import type { RuntimeSurroundings } from '@usertrace/linux';
import { LineStream } from './line-stream.ts';
import { ownSurroundings, proberSocketPath } from './prober-place.ts';
import {
  type Exchanges,
  PROTOCOL_VERSION,
  type ProberMessage,
  type RefusalBody,
  type Request,
  type RequestName,
} from './protocol.ts';
import { socketPeer } from './socket-peer.ts';
import { proberLogPath, startProber } from './start.ts';

/** A prober that is about to end hangs up; then another is started. */
const CONNECT_ATTEMPTS = 20;
const ATTEMPT_PAUSE_MS = 25;

/** A request that the prober did not do. */
export class ProberRefusal extends Error {
  /** The symbolic error number. */
  readonly code: string;
  /** Where in a definition the mistake is. */
  readonly log: RefusalLogEntry | undefined;

  constructor({ code, message, log }: RefusalBody) {
    super(message);
    this.name = 'ProberRefusal';
    this.code = code;
    this.log = log;
  }
}

/** There is no prober, or there is none any more; the message says why. */
export class ProberUnavailable extends Error {
  readonly code = 'ENOTCONN';

  constructor(message: string) {
    super(message);
    this.name = 'ProberUnavailable';
  }
}

/** How to connect. */
export interface ProberClientOptions {
  /** Whether a prober is started when there is none. */
  readonly mayStart: boolean;
  /** Told sentences for the user. */
  readonly note?: (text: string) => void;
  /** Told that there are other probes than before. */
  readonly changed?: () => void;
  /** Whether the prober may end while this is connected: this is told when probes are added, and adds them itself now and then. */
  readonly isObserver?: boolean;
  readonly surroundings?: RuntimeSurroundings;
}

type Waiting = { readonly resolve: (answer: unknown) => void; readonly reject: (reason: Error) => void };

export class ProberClient {
  /** Of the prober. */
  readonly pid: number;
  /** Aborted when the connection is over, whoever ended it. */
  readonly over: AbortSignal;
  readonly #connection: Connection;

  private constructor(connection: Connection, pid: number) {
    this.#connection = connection;
    this.pid = pid;
    this.over = connection.over;
  }

  /**
   * Connects to the user's prober.
   *
   * @returns undefined when there is none and none may be started
   * @throws {ProberUnavailable} when it cannot be started or reached
   * @throws {ProberRefusal} EPROTO when it speaks another version
   */
  static async connect(options: ProberClientOptions & { mayStart: true }): Promise<ProberClient>;
  static async connect(options: ProberClientOptions): Promise<ProberClient | undefined>;
  static async connect(options: ProberClientOptions): Promise<ProberClient | undefined> {
    try {
      return await ProberClient.#connect(options);
    } catch (error) {
      throw error instanceof ProberRefusal ? error : new ProberUnavailable((error as Error).message);
    }
  }

  static async #connect(options: ProberClientOptions): Promise<ProberClient | undefined> {
    const surroundings = options.surroundings ?? ownSurroundings();
    const path = proberSocketPath(surroundings);
    for (let attempt = 0; attempt < CONNECT_ATTEMPTS; attempt++) {
      const socket = await connected(path);
      if (socket === undefined) {
        if (!options.mayStart) return undefined;
        await startProber(surroundings);
        continue;
      }
      const server = socketPeer(socket);
      if (server !== undefined && server.uid !== surroundings.uid) {
        socket.destroy();
        throw new Error(
          `Cannot use ${path}: user ${server.uid} listens there, and not user ${surroundings.uid}`,
        );
      }
      const connection = new Connection(socket, proberLogPath(surroundings), options);
      try {
        const { pid } = await connection.request('hello', {
          version: PROTOCOL_VERSION,
          isObserver: options.isObserver ?? false,
        });
        return new ProberClient(connection, pid);
      } catch (error) {
        connection.close();
        if (error instanceof ProberRefusal) throw error;
        await delay(ATTEMPT_PAUSE_MS);
      }
    }
    throw new Error(`Cannot reach the prober at ${path}: it hangs up each time`);
  }

  /**
   * Asks for something.
   *
   * @throws {ProberRefusal} when it is not done
   * @throws {ProberUnavailable} when the prober is gone
   */
  request<Name extends RequestName>(
    name: Name,
    body: Exchanges[Name]['body'],
  ): Promise<Exchanges[Name]['answer']> {
    return this.#connection.request(name, body);
  }

  /** Hangs up. */
  close(): void {
    this.#connection.close();
  }
}

class Connection {
  readonly over: AbortSignal;
  readonly #socket: Socket;
  readonly #lines: LineStream;
  readonly #told: Pick<ProberClientOptions, 'note' | 'changed'>;
  readonly #waitingById = new Map<number, Waiting>();
  #lastId = 0;

  constructor(socket: Socket, logPath: string, told: Pick<ProberClientOptions, 'note' | 'changed'>) {
    this.#socket = socket;
    this.#told = told;
    this.#lines = new LineStream(socket, (value) => this.#take(value as ProberMessage));
    const over = new AbortController();
    this.over = over.signal;
    socket.once('close', () => {
      const reason = new ProberUnavailable(
        `The prober has ended; what it said, if it crashed, is in ${logPath}`,
      );
      for (const { reject } of this.#waitingById.values()) reject(reason);
      this.#waitingById.clear();
      over.abort(reason);
    });
  }

  request<Name extends RequestName>(
    name: Name,
    body: Exchanges[Name]['body'],
  ): Promise<Exchanges[Name]['answer']> {
    const request: Request<Name> = { id: ++this.#lastId, request: name, body };
    return new Promise((resolve, reject) => {
      if (this.over.aborted) {
        reject(this.over.reason as Error);
        return;
      }
      this.#waitingById.set(request.id, { resolve: resolve as (answer: unknown) => void, reject });
      this.#lines.send(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(message: ProberMessage): void {
    if ('note' in message) {
      this.#told.note?.(message.note);
      return;
    }
    if ('changed' in message) {
      this.#told.changed?.();
      return;
    }
    const waiting = this.#waitingById.get(message.id);
    this.#waitingById.delete(message.id);
    if ('refusal' in message) waiting?.reject(new ProberRefusal(message.refusal));
    else waiting?.resolve(message.answer);
  }
}

/** @returns undefined when nobody listens there */
function connected(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else reject(new Error(`Cannot reach the prober at ${path}: ${error.message}`));
    });
  });
}
