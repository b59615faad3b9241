/**
 * `ProberServer`: the prober's door. It owns the connections; each client's requests are done one after another, those of different
 * clients beside each other. What they ask for is the Prober's.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { isAbsolute } from 'node:path';
import type { PeerCredentials } from '@usertrace/linux';
import { DefinitionRefusal } from '@usertrace/uprobes';
import { LineStream } from './line-stream.ts';
import { ProberPeer } from './prober-peer.ts';
import type { Prober } from './prober.ts';
import {
  CLIENTS_MAX,
  type Exchanges,
  NAMED_PROCESSES_MAX,
  type ProbeScope,
  PROTOCOL_VERSION,
  type RefusalBody,
  type RequestName,
  WAITING_REQUESTS_MAX,
} from './protocol.ts';
import { socketPeer } from './socket-peer.ts';

type Handler<Name extends RequestName> = (
  peer: ProberPeer,
  body: Exchanges[Name]['body'],
) => Promise<Exchanges[Name]['answer']> | Exchanges[Name]['answer'];

export class ProberServer {
  readonly #prober: Prober;
  readonly #changed: () => void;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #peerBySocket = new Map<Socket, ProberPeer>();

  /** @param changed called when a client has come or gone */
  constructor(prober: Prober, changed: () => void) {
    this.#prober = prober;
    this.#changed = changed;
    this.#server = createServer((socket) => this.#welcome(socket));
  }

  /** Whether there is a client for whom the prober has to stay. */
  get isNeeded(): boolean {
    return [...this.#peerBySocket.values()].some(({ isObserver }) => !isObserver);
  }

  /** @throws {Error} when nothing can be made at that path */
  listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, () => resolve());
    });
  }

  /** Hangs up on everybody. */
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #welcome(socket: Socket): void {
    if (this.#sockets.size >= CLIENTS_MAX) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    this.#changed();
    let waitingCount = 0;
    let isGreeted = false;
    let last: Promise<void> = Promise.resolve();
    const client = socketPeer(socket);
    const lines = new LineStream(socket, (value) => {
      const request = asRequest(value);
      if (request === undefined || (request.name === 'hello') === isGreeted) {
        socket.destroy();
        return;
      }
      if (client === undefined || !this.#isTrusted(client)) {
        const who = client === undefined ? 'it is not known who asks' : `it is not user ${client.uid}'s`;
        const message = `Cannot use the prober, process ${process.pid}: ${who}`;
        lines.send({ id: request.id, refusal: { code: 'EPERM', message } });
        socket.end();
        return;
      }
      isGreeted = true;
      if (++waitingCount >= WAITING_REQUESTS_MAX) socket.pause();
      last = last.then(async () => {
        if (!socket.destroyed) lines.send(await this.#answer(peer, request));
        if (--waitingCount < WAITING_REQUESTS_MAX) socket.resume();
      });
    });
    const peer = new ProberPeer(client?.pid ?? 0, (message) => lines.send(message));
    this.#peerBySocket.set(socket, peer);
    socket.once('close', () => {
      // What is being done for it ends first: it may be adding a probe.
      void last.then(async () => {
        await this.#prober.peerGone(peer);
        this.#sockets.delete(socket);
        this.#peerBySocket.delete(socket);
        this.#changed();
      });
    });
  }

  /** The folder lets nobody else in; should somebody open it, the prober is still this user's. */
  #isTrusted({ uid }: PeerCredentials): boolean {
    return uid === process.geteuid?.() || uid === 0;
  }

  async #answer(peer: ProberPeer, { id, name, body }: CheckedRequest): Promise<object> {
    try {
      const handler = this.#handlers[name] as Handler<RequestName>;
      return { id, answer: await handler(peer, body as Exchanges[RequestName]['body']) };
    } catch (error) {
      return { id, refusal: refusalOf(error) };
    }
  }

  readonly #handlers: { readonly [Name in RequestName]: Handler<Name> } = {
    hello: (peer, { version, isObserver }) => {
      if (version !== PROTOCOL_VERSION)
        throw refusal(
          'EPROTO',
          `Cannot use the prober, process ${process.pid}: it is of another version of usertrace; ` +
            `end it with \`kill ${process.pid}\`, which takes its probes away`,
        );
      peer.isObserver = isObserver;
      this.#prober.peerCame(peer);
      return { version: PROTOCOL_VERSION, pid: process.pid };
    },
    add: (peer, { definition, folder, scope, filter, isKept }) =>
      this.#prober.add(peer, {
        definition: checkedText(definition),
        folder: checkedFolder(folder),
        scope: checkedScope(scope),
        isKept,
        ...(filter === undefined ? {} : { filter: checkedText(filter) }),
      }),
    remove: async (peer, { pattern }) => ({ removed: await this.#prober.remove(peer, checkedText(pattern)) }),
    execute: async (peer, { line, folder }) => {
      await this.#prober.execute(peer, checkedText(line), checkedFolder(folder));
      return {};
    },
    clear: async () => {
      await this.#prober.clear();
      return {};
    },
    list: () => ({ probes: this.#prober.listing() }),
    sync: async () => {
      await this.#prober.sync();
      return {};
    },
    launch: async (peer, { standIn, command, args, env, patterns }) => {
      await this.#prober.launch(peer, {
        standIn: checkedId(standIn),
        command: checkedText(command),
        args: checkedList(args).map(checkedText),
        patterns: checkedList(patterns).map(checkedText),
        env: Object.fromEntries(Object.entries(env ?? {}).map(([name, value]) => [name, checkedText(value)])),
      });
      return {};
    },
  };
}

interface CheckedRequest {
  readonly id: number;
  readonly name: RequestName;
  readonly body: object;
}

const REQUEST_NAMES: ReadonlySet<string> = new Set<RequestName>([
  'hello',
  'add',
  'remove',
  'execute',
  'clear',
  'list',
  'sync',
  'launch',
]);

/** @returns undefined for what no client says */
function asRequest(value: unknown): CheckedRequest | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { id, request, body } = value as Record<string, unknown>;
  const isOne =
    Number.isSafeInteger(id) && typeof request === 'string' && typeof body === 'object' && body !== null;
  if (!isOne || !REQUEST_NAMES.has(request)) return undefined;
  return { id: id as number, name: request as RequestName, body };
}

function refusal(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

function refusalOf(error: unknown): RefusalBody {
  const { message } = error as Error;
  if (error instanceof DefinitionRefusal) {
    const { code, log } = error;
    return { code, message, ...(log === undefined ? {} : { log }) };
  }
  const { code } = error as { code?: unknown };
  // Anything else is a bug of the prober: the client shows where it is.
  return typeof code === 'string'
    ? { code, message }
    : { code: 'EIO', message: String((error as Error).stack) };
}

function checkedText(value: unknown): string {
  if (typeof value === 'string' && !value.includes('\0')) return value;
  throw refusal('EINVAL', 'Cannot take the request: it has no text where one belongs');
}

function checkedFolder(value: unknown): string {
  const folder = checkedText(value);
  if (isAbsolute(folder)) return folder;
  throw refusal('EINVAL', 'Cannot take the request: its folder is not absolute');
}

function checkedList(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  throw refusal('EINVAL', 'Cannot take the request: it has no list where one belongs');
}

function checkedId(value: unknown): number {
  if (Number.isInteger(value) && (value as number) > 0 && (value as number) < 2 ** 31) return value as number;
  throw refusal('EINVAL', `Cannot take ${JSON.stringify(value)} for a process`);
}

function checkedScope(scope: ProbeScope | undefined): ProbeScope {
  if (scope?.kind === 'all' || scope?.kind === 'launched') return { kind: scope.kind };
  const pids = checkedList(scope?.pids).map(checkedId);
  if (pids.length === 0 || pids.length > NAMED_PROCESSES_MAX)
    throw refusal('E2BIG', `Cannot probe ${pids.length} named processes: from 1 to ${NAMED_PROCESSES_MAX}`);
  return { kind: 'processes', pids };
}
