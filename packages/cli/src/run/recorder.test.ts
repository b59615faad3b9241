import type { DirectoryNode, FileNode, OpenFile } from '@usertrace/tracefs';
import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { folder } from './folder.sim.ts';
import { Recorder } from './recorder.ts';

/** A trace instance whose pipe gives one recorded text a read. */
class FakeInstance {
  readonly waiting: string[] = [];
  readCount = 0;
  isReleased = false;
  #ready: (() => void) | undefined;

  record(text: string): void {
    this.waiting.push(text);
    this.#ready?.();
    this.#ready = undefined;
  }

  get root(): DirectoryNode {
    const stats = (): string => `entries: 0\noverrun: 3\ndropped events: 0\nread events: ${this.readCount}\n`;
    return folder({
      trace_pipe: file(() => this.#openPipe()),
      per_cpu: folder({
        cpu0: folder({ stats: file(() => textOf(stats())) }),
        cpu1: folder({ stats: file(() => textOf('overrun: 1\nread events: 0\n')) }),
      }),
    });
  }

  #openPipe(): OpenFile {
    return {
      read: (_caller, _offset, _size, reply) => {
        const text = this.waiting.shift();
        if (text === undefined) return reply.fail('EAGAIN');
        this.readCount++;
        return reply.done(Buffer.from(text));
      },
      isReadable: () => this.waiting.length > 0,
      onReadable: (ready) => {
        this.#ready = ready;
      },
      release: () => {
        this.isReleased = true;
      },
    };
  }
}

function textOf(text: string): OpenFile {
  return {
    read: (_caller, offset, size, reply) => reply.done(Buffer.from(text).subarray(offset, offset + size)),
    release: () => undefined,
  };
}

function file(open: () => OpenFile): FileNode {
  return { kind: 'file', mode: 0o444, access: 'pipe', open };
}

/** A stream that takes one text, and further ones when `release` is called. */
class SlowSink extends Writable {
  text = '';
  #takeMore: (() => void) | undefined;
  isHeld = false;

  constructor() {
    super({ highWaterMark: 1 });
  }

  override _write(chunk: Buffer, _encoding: string, taken: () => void): void {
    this.text += chunk.toString();
    if (this.isHeld) this.#takeMore = taken;
    else taken();
  }

  letGo(): void {
    this.isHeld = false;
    this.#takeMore?.();
  }
}

/** A recording whose stream has taken one text, `a`, and takes no more. */
async function stalledRecording(): Promise<{ instance: FakeInstance; sink: SlowSink; recorder: Recorder }> {
  const instance = new FakeInstance();
  const sink = new SlowSink();
  sink.isHeld = true;
  const recorder = new Recorder(instance.root, sink);
  instance.record('a\n');
  await expect.poll(() => sink.text).toBe('a\n');
  return { instance, sink, recorder };
}

describe('Recorder', () => {
  it('passes events on while they come', async () => {
    const instance = new FakeInstance();
    const sink = new SlowSink();
    const recorder = new Recorder(instance.root, sink);
    instance.record('a\n');
    await expect.poll(() => sink.text).toBe('a\n');
    instance.record('b\n');
    await expect.poll(() => sink.text).toBe('a\nb\n');
    await recorder.finish();
  });

  it('finish() passes on the rest, counts, and lets go of the pipe', async () => {
    const instance = new FakeInstance();
    const sink = new SlowSink();
    const recorder = new Recorder(instance.root, sink);
    instance.record('a\n');
    instance.record('b\n');
    expect(await recorder.finish()).toEqual({ eventCount: 2, lostCount: 4 });
    expect(sink.text).toBe('a\nb\n');
    expect(instance.isReleased).toBe(true);
  });

  it('leaves events in the buffer while the stream takes none', async () => {
    const { instance, sink, recorder } = await stalledRecording();
    instance.record('b\n');
    instance.record('c\n');
    await new Promise((resolve) => setImmediate(resolve));
    expect(instance.waiting.length).toBeGreaterThan(0);
    sink.letGo();
    await expect.poll(() => sink.text).toBe('a\nb\nc\n');
    await recorder.finish();
  });

  it('finish() does not wait for a stream that takes no more', async () => {
    const { instance, sink, recorder } = await stalledRecording();
    instance.record('b\n');
    expect((await recorder.finish()).eventCount).toBe(2);
    sink.letGo();
    await expect.poll(() => sink.text).toBe('a\nb\n');
  });
});
