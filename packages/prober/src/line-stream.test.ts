import { connect, createServer, type Server, type Socket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LineStream } from './line-stream.ts';
import { LINE_BYTES_MAX } from './protocol.ts';

let folder: string;
let server: Server;
let near: Socket;
let far: Socket;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'usertrace-lines-'));
  server = createServer();
  server.listen(join(folder, 's'));
  await once(server, 'listening');
  near = connect(join(folder, 's'));
  [far] = (await once(server, 'connection')) as [Socket];
});

afterEach(() => {
  near.destroy();
  far.destroy();
  server.close();
  rmSync(folder, { recursive: true });
});

const lines = (socket: Socket, take: (value: unknown) => void): LineStream => new LineStream(socket, take);

describe('LineStream', () => {
  it('brings each value once and in order, however its bytes are cut', async () => {
    const values = fc.sample(
      fc.dictionary(fc.string(), fc.oneof(fc.string({ unit: 'binary' }), fc.double())),
      30,
    );
    const bytes = Buffer.from(values.map((value) => `${JSON.stringify(value)}\n`).join(''));
    const taken: unknown[] = [];
    const done = new Promise<void>((resolve) => {
      lines(far, (value) => {
        taken.push(value);
        if (taken.length === values.length) resolve();
      });
    });
    for (let at = 0; at < bytes.length; at += 61) near.write(bytes.subarray(at, at + 61));
    await done;
    expect(taken).toEqual(JSON.parse(JSON.stringify(values)));
  });

  it('sends what the other side takes', async () => {
    const value = await new Promise((resolve) => {
      lines(far, resolve);
      lines(near, () => undefined).send({ note: 'a\nb ä' });
    });
    expect(value).toEqual({ note: 'a\nb ä' });
  });

  it('hangs up on what is no value, and on a line without an end', async () => {
    for (const text of ['{"id":1\n', 'nonsense\n', 'x'.repeat(LINE_BYTES_MAX + 1)]) {
      const one = connect(join(folder, 's'));
      const [other] = (await once(server, 'connection')) as [Socket];
      const taken: unknown[] = [];
      lines(other, (value) => taken.push(value));
      one.on('error', () => undefined);
      one.write(text);
      await once(other, 'close');
      expect(taken).toEqual([]);
      one.destroy();
    }
  });
});
