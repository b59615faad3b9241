/**
 * Malformed FUSE requests against a FuseSession in this process: bytes in, no throw out.
 *
 * The session serves a small tree that has every kind of node. Checked for each message: nothing is thrown; each
 * answer is one whole message for a request that was asked and not answered before; what the session holds stays
 * bounded; and now and then that a sound request is still answered soundly.
 */
import { FUSE_OPCODE, FUSE_SIZE } from '@usertrace/abi';
import {
  type DirectoryNode,
  type FileNode,
  FuseSession,
  type OpenFile,
  REPLY_BUFFER_BYTES,
  REQUEST_BUFFER_BYTES,
  type Reply,
  type TreeNode,
} from '@usertrace/tracefs';
import { Random } from './random.ts';

/** Longer bodies add nothing: the largest fixed part has 88 bytes. */
const MAX_BODY_BYTES = 300;
const SOUND_EVERY = 64;
const ROOT_NODE = 1;
const OPCODES = Object.values(FUSE_OPCODE).filter((opcode) => opcode !== FUSE_OPCODE.DESTROY);
const HIGHEST_OPCODE = 60;
const NAMES = ['file', 'stream', 'pipe', 'folder', 'absent', '', '.', '..', 'a/b', 'é', 'x'.repeat(255)];

/** An open file that answers at once, later, with an error, or never. */
class MoodyFile implements OpenFile {
  readonly #random: Random;
  readonly #later: Set<() => void>;

  constructor(random: Random, later: Set<() => void>) {
    this.#random = random;
    this.#later = later;
  }

  read(_caller: unknown, offset: number, size: number, reply: Reply<Uint8Array>): void {
    this.#answer(reply, () => new Uint8Array(offset > 100 ? 0 : Math.min(size, 200)));
  }

  write(_caller: unknown, _offset: number, bytes: Uint8Array, reply: Reply<number>): void {
    const { length } = bytes;
    this.#answer(reply, () => length);
  }

  ioctl(
    _caller: unknown,
    _command: number,
    _argument: bigint,
    input: Uint8Array,
    reply: Reply<Uint8Array>,
  ): void {
    this.#answer(reply, () => input);
  }

  isReadable(): boolean {
    return this.#random.oneIn(2);
  }

  onReadable(ready: () => void): void {
    this.#later.add(ready);
  }

  release(): void {}

  #answer<Value>(reply: Reply<Value>, value: () => Value): void {
    const mood = this.#random.below(8);
    if (mood === 0) reply.fail('EINVAL');
    else if (mood === 1) this.#later.add(() => reply.done(value()));
    else if (mood === 2) {
      const answer = (): void => reply.done(value());
      this.#later.add(answer);
      reply.onInterrupt(() => this.#later.delete(answer));
    } else reply.done(value());
  }
}

function smallTree(random: Random, later: Set<() => void>): DirectoryNode {
  const file = (access: FileNode['access']): FileNode => ({
    kind: 'file',
    mode: 0o640,
    access,
    open: () => (random.oneIn(8) ? 'EACCES' : new MoodyFile(random, later)),
    truncate: () => undefined,
  });
  const made = new Map<string, TreeNode>();
  const folder = (children: Map<string, TreeNode>): DirectoryNode => ({
    kind: 'directory',
    mode: 0o750,
    child: (name) => children.get(name),
    entries: () => [...children].map(([name, { kind }]) => ({ name, kind })),
    makeDirectory: (name) => {
      if (children.has(name)) return 'EEXIST';
      if (children.size > 20) return 'ENOSPC';
      children.set(name, folder(new Map()));
      return 'made';
    },
    removeDirectory: (name) => (children.delete(name) ? 'removed' : 'ENOENT'),
  });
  made.set('file', file('text'));
  made.set('stream', file('stream'));
  made.set('pipe', file('pipe'));
  made.set('folder', folder(new Map()));
  return folder(made);
}

/** A session, and the checks on what it sends. */
class SessionUnderFuzz {
  readonly session: FuseSession;
  readonly #request: Uint8Array<ArrayBuffer> = new Uint8Array(REQUEST_BUFFER_BYTES);
  readonly #requestView: DataView = new DataView(this.#request.buffer);
  readonly #reply: Uint8Array<ArrayBuffer> = new Uint8Array(REPLY_BUFFER_BYTES);
  readonly #later = new Set<() => void>();
  readonly #random: Random;
  readonly #unanswered = new Set<bigint>();
  #unique = 2n;
  lastReplyError: number | undefined;

  constructor(random: Random) {
    this.#random = random;
    const owner = { uid: 0, gid: 0, rootMode: 0o700 };
    const root = smallTree(random, this.#later);
    this.session = new FuseSession(root, owner, {
      requestBuffer: this.#request,
      replyBuffer: this.#reply,
      beforeRequest: () => undefined,
      send: (length) => this.#check(length),
    });
    const version = new Uint8Array(16);
    new DataView(version.buffer).setUint32(0, 7, true);
    new DataView(version.buffer).setUint32(4, 45, true);
    this.send(FUSE_OPCODE.INIT, ROOT_NODE, version);
  }

  /** Sends one message; `claimedBytes` is the length its header states, the true one by default. */
  send(opcode: number, nodeId: number, body: Uint8Array, claimedBytes?: number, received?: number): void {
    const length = FUSE_SIZE.requestHeader + body.length;
    this.#unique += 2n;
    this.#unanswered.add(this.#unique);
    this.#request.fill(0, 0, FUSE_SIZE.requestHeader);
    this.#requestView.setUint32(0, claimedBytes ?? length, true);
    this.#requestView.setUint32(4, opcode, true);
    this.#requestView.setBigUint64(8, this.#unique, true);
    this.#requestView.setBigUint64(16, BigInt(nodeId), true);
    this.#requestView.setUint32(32, 10, true);
    this.#request.set(body, FUSE_SIZE.requestHeader);
    this.session.serve(received ?? length);
    if (this.#unanswered.size > 50_000) throw new Error('The session leaves requests without an answer');
  }

  get lastUnique(): bigint {
    return this.#unique;
  }

  /** Lets what waits be answered, in any order. */
  answerLater(): void {
    for (const answer of this.#later) {
      if (this.#random.oneIn(2)) continue;
      this.#later.delete(answer);
      answer();
    }
  }

  #check(length: number): void {
    const view = new DataView(this.#reply.buffer);
    if (view.getUint32(0, true) !== length) throw new Error('A reply states a length that it does not have');
    const unique = view.getBigUint64(8, true);
    const error = view.getInt32(4, true);
    if (unique === 0n) return; // a notification
    if (error > 0 || error < -4095) throw new Error(`A reply has error ${error}`);
    if (error < 0 && length !== FUSE_SIZE.replyHeader) throw new Error('A reply has an error and a body');
    if (!this.#unanswered.delete(unique))
      throw new Error(`Request ${unique} is answered twice, or was never asked`);
    this.lastReplyError = error;
  }
}

/** A body for an opcode: numbers that are often node ids or handles, names, and noise. */
function makeBody(random: Random, target: SessionUnderFuzz): Uint8Array {
  const body = new Uint8Array(random.below(MAX_BODY_BYTES));
  const view = new DataView(body.buffer);
  if (random.oneIn(2)) {
    for (let offset = 0; offset + 8 <= body.length; offset += 8) {
      const kind = random.below(4);
      if (kind === 0) view.setBigUint64(offset, BigInt(random.below(40)), true);
      else if (kind === 1) view.setBigUint64(offset, target.lastUnique - BigInt(2 * random.below(20)), true);
      else if (kind === 2) view.setUint32(offset, random.u32(), true);
      else body.set(random.bytes(8), offset);
    }
  }
  if (random.oneIn(2)) {
    const name = new TextEncoder().encode(`${random.pick(NAMES)}\0`);
    return Uint8Array.from([...body.subarray(0, random.pick([0, 0, 8])), ...name]);
  }
  // A write or an ioctl whose stated size is that of the rest passes the first check.
  if (body.length >= 40 && random.oneIn(2)) view.setUint32(16, body.length - 40, true);
  if (body.length >= 32 && random.oneIn(2)) view.setUint32(24, body.length - 32, true);
  return body;
}

function sendRandom(random: Random, target: SessionUnderFuzz): void {
  const opcode = random.oneIn(16) ? random.below(HIGHEST_OPCODE) : random.pick(OPCODES);
  if (opcode === FUSE_OPCODE.DESTROY) return;
  const nodeId = random.oneIn(8) ? random.u32() : random.below(12);
  const body = random.mutate(makeBody(random, target));
  const length = FUSE_SIZE.requestHeader + body.length;
  const claimed = random.oneIn(16) ? random.u32() : length;
  const received = random.oneIn(16) ? random.below(length + 1) : length;
  target.send(opcode, nodeId, body, claimed, received);
}

/**
 * Sends malformed requests.
 *
 * @param seed the same seed sends the same requests
 * @param runs how many
 * @throws {Error} with the number of the request that broke a rule
 */
export function fuzzSession(seed: number, runs: number): void {
  const random = new Random(seed);
  let target = new SessionUnderFuzz(random);
  for (let run = 0; run < runs; run++) {
    try {
      sendRandom(random, target);
      if (run % SOUND_EVERY !== 0) continue;
      target.answerLater();
      target.lastReplyError = undefined;
      target.send(FUSE_OPCODE.GETATTR, ROOT_NODE, new Uint8Array(16));
      if (target.lastReplyError !== 0) throw new Error('A sound GETATTR of the root is not answered');
      if (run % (SOUND_EVERY * 64) === 0) {
        target.session.close();
        target = new SessionUnderFuzz(random);
      }
    } catch (error) {
      throw new Error(`FUSE request ${run} with --seed ${seed} broke the session`, { cause: error });
    }
  }
}
