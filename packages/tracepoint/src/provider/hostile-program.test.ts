/** Programs that do to their descriptors, their user and their modules what programs do, and tools that write nonsense. */
import {
  LANE_MODE,
  PROVIDER_HEADER,
  PROVIDER_OFFSET,
  SESSION,
  SESSION_SLOT_SIZE,
  SESSION_STATE,
  STANDING_SESSION,
} from '@usertrace/abi';
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Workshop } from '../program.sim.ts';

const SCALE = Number(process.env['USERTRACE_SCALE'] ?? 1);
const SEED = Number(process.env['USERTRACE_SEED'] ?? Math.trunc(Math.random() * 0x7fff_ffff));
const isRoot = process.getuid?.() === 0;

let shop: Workshop;
beforeAll(async () => {
  shop = await new Workshop().prepare();
});
afterEach(() => shop.clear());
afterAll(() => shop.remove());

const COUNTING = `
import fs from 'node:fs';
const counted = ut.tracepoint('counted', { number: ut.u32, text: ut.str });
const count = (from, to) => { for (let i = from; i < to; i++) counted(i, 'event number ' + i); };
const file = () => process.env.USERTRACE_RUNTIME_DIR + '/' + fs.readdirSync(process.env.USERTRACE_RUNTIME_DIR)[0];
`;
/** Programs whose clock they put forward themselves: seconds pass in no time. It has to be there before the package. */
const SKEWED = `
let skew = 0n; const real = process.hrtime.bigint; process.hrtime.bigint = () => real() + skew;
const ut = await import(process.env.USERTRACE_PACKAGE);`;

/** Runs a program that loads the package itself. */
function runBare(name: string, source: string): { stdout: string; stderr: string; status: number | null } {
  const path = join(shop.folder, name);
  writeFileSync(path, source);
  return shop.run(`runs-${name}`, `await import(${JSON.stringify(path)});`, {
    environment: { USERTRACE_PACKAGE: join(shop.folder, 'tracepoint.mjs') },
  });
}

describe('a program', () => {
  it('that closes all files keeps its own, which got their numbers, and goes on recording', () => {
    const precious = join(shop.folder, 'precious');
    const { stdout, stderr } = shop.run(
      'closes.mjs',
      `${COUNTING} count(0, 1);
const ours = fs.readdirSync('/proc/self/fd').filter((fd) => { try { return fs.readlinkSync('/proc/self/fd/' + fd) === file(); } catch { return false; } });
for (const fd of ours) fs.closeSync(Number(fd));
const mine = ours.map(() => fs.openSync('${precious}', 'w+'));
fs.writeSync(mine[0], 'precious');
const other = ut.tracepoint('other', { n: ut.u32 });
ut.enable('*'); count(1, 3); other(1);
console.log(ours.length > 0, mine.every((fd) => ours.includes(String(fd))), counted.enabled, other.enabled, ut.unavailable());
process.exit(1);`,
    );
    expect({ stdout, stderr }).toEqual({ stdout: 'true true true true undefined\n', stderr: '' });
    expect(readFileSync(precious, 'latin1')).toBe('precious');
    expect(shop.provider().events.map(({ name }) => name)).toEqual(['counted', 'counted', 'other']);
  });

  it('that closes all files, and whose file is gone, is told why nothing is recorded', () => {
    const { stdout, stderr } = shop.run(
      'loses.mjs',
      `${COUNTING} const path = file();
for (const fd of fs.readdirSync('/proc/self/fd')) try { if (fs.readlinkSync('/proc/self/fd/' + fd) === path) fs.closeSync(Number(fd)); } catch {}
fs.unlinkSync(path);
const other = ut.tracepoint('other'); other(); count(0, 1); console.log(ut.unavailable());`,
    );
    expect(stderr).toBe('');
    expect(stdout).toMatch(/ENOENT/);
  });

  it.runIf(isRoot)('that has changed its user records all the same', () => {
    const { stdout } = shop.run(
      'drops.mjs',
      `${COUNTING} process.setgid(65534); process.setuid(65534);
ut.enable('*'); count(0, 3); console.log(counted.enabled, ut.unavailable()); process.exit(1);`,
    );
    expect(stdout).toBe('true undefined\n');
    expect(shop.provider().events).toHaveLength(3);
  });

  it('that names its folder from where it stood may go elsewhere', () => {
    const { stdout } = shop.run(
      'moves.mjs',
      `process.chdir('/dev/shm'); process.env.USERTRACE_RUNTIME_DIR = '${shop.runtime.replace('/dev/shm/', './')}';
${COUNTING.replace("import fs from 'node:fs';", '')} ut.enable('*'); count(0, 1); process.chdir('/'); console.log(counted.enabled);`,
    );
    expect(stdout).toBe('true\n');
    expect(shop.providers()).toEqual([]);
  });

  it('whose file functions emit events themselves does not run in circles', () => {
    const { stdout, stderr } = runBare(
      'circles.mjs',
      `import fs from 'node:fs'; import { createRequire, syncBuiltinESMExports } from 'node:module';
${SKEWED}
const called = ut.tracepoint('called', { name: ut.str }); ut.enable('*');
let calls = 0; const { existsSync } = fs;
fs.existsSync = (path) => { calls++; called('existsSync'); return existsSync(path); };
syncBuiltinESMExports();
called('first'); skew += 5_000_000_000n; called('second'); console.log(calls > 0 && calls < 20, calls);`,
    );
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^true/);
  });

  it('that loads the package in one context after the other has eight of it, and then is told', () => {
    const { stdout, stderr } = shop.run(
      'contexts.cjs',
      `const vm = require('node:vm'), fs = require('node:fs');
const source = fs.readFileSync('${shop.folder}/tracepoint.cjs', 'utf8'); const said = [];
for (let i = 0; i < 20; i++) {
  const module = { exports: {} };
  const context = vm.createContext({ process, console, Buffer, performance, URL });
  vm.runInContext('(function (module, exports, require, __filename) {' + source + '\\n})', context)(module, module.exports, require, __filename);
  const ut = module.exports, t = ut.tracepoint('a', { s: ut.str, b: ut.bytes });
  ut.enable('*'); t('text', new ArrayBuffer(4)); said.push(ut.unavailable());
}
console.log(said.filter((reason) => reason === undefined).length, said[8]);`,
    );
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^8 .* 8 times already/);
  });
});

describe('what others wrote', () => {
  it('into a word without a session is taken back when time has passed', () => {
    const { stdout } = runBare(
      'words.mjs',
      `import fs from 'node:fs';
${SKEWED}
const on = [0, 1, 2, 3].map((byte) => ut.tracepoint('t' + byte));
const folder = process.env.USERTRACE_RUNTIME_DIR; const fd = fs.openSync(folder + '/' + fs.readdirSync(folder)[0], 'r+');
on.forEach((_, byte) => fs.writeSync(fd, Buffer.from([byte === 3 ? 0x80 : 1]), 0, 1, ${PROVIDER_OFFSET.words} + byte * 4 + byte));
console.log(on.map((t) => t.enabled).join()); for (const t of on) t(); skew += 5_000_000_000n; for (const t of on) t();
console.log(on.map((t) => t.enabled).join());`,
    );
    expect(stdout).toBe('true,true,true,true\nfalse,false,false,false\n');
  });

  it(
    `into the file at random does not disturb the program (USERTRACE_SEED=${SEED})`,
    () => {
      const { stdout, stderr } = runBare(
        'nonsense.mjs',
        `import fs from 'node:fs';
${SKEWED}
let state = ${SEED} | 1; const below = (n) => { state ^= state << 13; state ^= state >>> 17; state ^= state << 5; return (state >>> 0) % n; };
ut.configure({ laneBytes: 2 ** 17 });
const events = [ut.tracepoint('a', { n: ut.u32, s: ut.str }), ut.tracepoint('b', { s: ut.str, b: ut.bytes, q: ut.u64 }), ut.tracepoint('c')];
const values = [[1, 'text'], ['t\\u00e9'.repeat(30), new Uint8Array(70), 5n], []];
ut.enable('*'); events.forEach((event, i) => event(...values[i]));
const folder = process.env.USERTRACE_RUNTIME_DIR; const fd = fs.openSync(folder + '/' + fs.readdirSync(folder)[0], 'r+');
const { size } = fs.fstatSync(fd);
const regions = [[0, 256], [${PROVIDER_HEADER.kernelPath}, 1024], [${PROVIDER_OFFSET.words}, 16], [${PROVIDER_OFFSET.sessions}, 0x4000],
  [${PROVIDER_OFFSET.sessions + STANDING_SESSION * SESSION_SLOT_SIZE}, ${SESSION_SLOT_SIZE}], [${PROVIDER_OFFSET.lane}, 4096], [${PROVIDER_OFFSET.lane}, size - ${PROVIDER_OFFSET.lane}], [0, size]];
const likely = [0, 1, 0xff, 0x7f, 0x80];
const put = (bytes, at) => fs.writeSync(fd, bytes, 0, bytes.length, Math.min(at, size - bytes.length));
let declared = 0, slowest = 0;
for (let round = 0; round < ${3000 * SCALE}; round++) {
  for (let n = 1 + below(20); n > 0; n--) {
    const [start, length] = regions[below(regions.length)];
    put(Uint8Array.from({ length: 1 + below(below(4) ? 8 : 64) }, () => below(2) ? below(256) : likely[below(5)]), start + below(length));
  }
  if (below(20) === 0) {
    const slot = Buffer.from(Array.from({ length: ${SESSION_SLOT_SIZE} }, () => below(256)));
    slot.writeUInt32LE(${SESSION_STATE.active}, ${SESSION.state}); slot.writeUInt32LE(below(2) ? ${LANE_MODE.discard} : ${LANE_MODE.overwrite}, ${SESSION.mode});
    put(slot, ${PROVIDER_OFFSET.sessions} + below(16) * ${SESSION_SLOT_SIZE});
  }
  if (below(10) === 0) skew += below(2) ? 5_000_000_000n : 200_000_000n;
  const start = process.cpuUsage();
  for (let n = 0; n < 30; n++) { const i = below(3); events[i](...values[i]); }
  if (below(20) === 0 && declared < 1500) ut.tracepoint('n' + declared++, { n: ut.u32 })(1);
  slowest = Math.max(slowest, process.cpuUsage(start).user / 1000);
}
console.log('ran', slowest < 2000 ? 'on' : slowest);`,
      );
      expect({ stdout, stderr }).toEqual({ stdout: 'ran on\n', stderr: '' });
    },
    60_000 + SCALE * 10_000,
  );
});

describe('what killed programs leave', () => {
  const KILLED = `process.kill(process.pid, 'SIGKILL');`;

  it('goes at once when it has no events, and stays when it has some', () => {
    shop.run('loud.mjs', `${COUNTING} ut.enable('*'); count(0, 1); ${KILLED}`);
    const [loud] = shop.providers();
    shop.run('quiet.mjs', `${COUNTING} count(0, 1); ${KILLED}`);
    expect(shop.providers()).toHaveLength(2);
    shop.run('follows.mjs', `${COUNTING} count(0, 1);`);
    expect(shop.providers()).toEqual([loud]);
  });

  it.runIf(isRoot)('takes a quarter of its file system at most', () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m,mode=0700', 'tmpfs', shop.runtime]);
    try {
      for (let round = 0; round < 6; round++) {
        const { signal } = shop.run('killed.mjs', `${COUNTING} ut.enable('*'); count(0, 1); ${KILLED}`);
        expect(signal).toBe('SIGKILL');
      }
      // One of 4 MiB and some, and the last, which nobody has come after.
      expect(shop.providers()).toHaveLength(2);
    } finally {
      execFileSync('umount', ['-l', shop.runtime]);
    }
  });

  it('of a thread of a program that runs is left to that program', async () => {
    const program = shop.start(
      'lasts.mjs',
      `import { Worker, isMainThread, parentPort } from 'node:worker_threads';
${COUNTING} ut.enable('*'); count(0, 1);
if (isMainThread) { const worker = new Worker(new URL(import.meta.url)); worker.on('message', () => worker.terminate()); worker.on('exit', () => console.log('ended')); setInterval(() => {}, 1000); }
else parentPort.postMessage('');`,
    );
    await program.printed('ended');
    const ended = shop.providers();
    expect(ended).toHaveLength(2);
    const [path] = ended as [string];
    // Files of another process that ended: more than there may be.
    for (let copy = 0; copy < 70; copy++) {
      const target = join(shop.runtime, `4194304-1-${'f'.repeat(12)}${copy + 10}`);
      copyFileSync(path, target);
      const bytes = readFileSync(target);
      bytes.writeDoubleLE(1, PROVIDER_HEADER.startTicks);
      writeFileSync(target, bytes);
    }
    shop.run('sweeps.mjs', `${COUNTING} count(0, 1);`);
    expect(shop.providers()).toHaveLength(2 + 63);
    for (const left of ended) expect(statSync(left).isFile()).toBe(true);
    await program.kill();
  });
});
