/**
 * Probes by jump in programs that run: their hits and values are right, the programs do what they do unprobed, and nothing that
 * happens to tracer, thread or process harms them.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileOffsetOf } from '@usertrace/abi';
import { disassemble, FileSymbols, type Hit, type ProbeTracer } from '@usertrace/uprobes';
import type { Utrace } from '@usertrace/utrace';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { AnsweringProgram } from '../support/answering-program.ts';
import { cProgram } from '../support/c-programs.ts';
import { missing } from '../support/requirements.ts';
import { until } from '../support/wait.ts';
import { inRepository } from '../support/repository.ts';
import { definitionOf, isCodeUnchanged } from '../support/native-probes.ts';
import { start, unprobed, withTracer } from './breakpoint-fixture.ts';
import { finishAsOrdinaryUser, needs } from './fixture.ts';
import { startAnswering } from './killed-tracers.ts';

const SCALE = Number(process.env['USERTRACE_SCALE'] ?? 1);

const lacking = missing('root', 'cc');

function expectJump(tracer: ProbeTracer): void {
  expect(tracer.places()).toMatchObject([{ kind: 'jump', reason: undefined }]);
}

describe.skipIf(lacking !== undefined)('probes by jump', () => {
  it('tell each call with its values, thread and process, in threads, a child and after an exec', async () => {
    const program = cProgram('tests/programs/values.c');
    const target = await startAnswering(program);
    const definition = definitionOf(
      `p:g/e ${program}:probed_values a=%di b=%si:s16 c=%si:u8 f=%si:b4@2/16 s=+0(%dx):string t=+0(%dx):x8[3] ` +
        `p=+8(+0(%cx)):u32 w=\\7:u32 n=$comm st=$stack0 bad=+0(%r8):u64 text=\\"it"`,
    );
    const hits: Hit[] = [];
    await withTracer(async (tracer) => {
      await tracer.attach(target.pid);
      await tracer.add(definition, (hit) => hits.push(hit));
      expectJump(tracer);
      expect(await target.ask('threads 4 50')).toBe('done 0');
      expect(await target.ask('fork 50')).toBe('done 0');
    });
    const callers = new Map<number, Hit[]>();
    for (const hit of hits) callers.set(hit.tid, [...(callers.get(hit.tid) ?? []), hit]);
    expect(callers.size).toBe(5);
    const processes = new Set(hits.map(({ tgid }) => tgid));
    expect(processes.size).toBe(2);
    expect(processes.has(target.pid)).toBe(true);
    for (const [tid, own] of callers) {
      expect(own).toHaveLength(50);
      for (const [index, { values, address, definition: of }] of own.entries()) {
        const [a, b, c, f, s, t, p, w, n, st, bad, text] = values;
        expect(of).toBe(definition);
        const text0 = ['one', 'two', 'three'][index % 3] as string;
        expect({ a, b, c, w, p }).toEqual({
          a: BigInt(index),
          b: BigInt(-index),
          c: BigInt.asUintN(8, BigInt(-index)),
          w: 7n,
          p: 77n,
        });
        expect(f).toBe((BigInt.asUintN(16, BigInt(-index)) >> 2n) & 15n);
        expect(s).toBe(text0);
        expect(t).toEqual([0, 1, 2].map((at) => BigInt(text0.charCodeAt(at))));
        expect(n).toBe(`caller ${tid}`.slice(0, 15));
        expect(typeof st).toBe('bigint');
        expect([bad, text]).toEqual([undefined, 'it']);
        expect(address).toBe(own[0]?.address);
      }
      const times = own.map(({ timeNs }) => timeNs);
      expect(times).toEqual(times.toSorted((one, other) => Number(one - other)));
    }
    expect(isCodeUnchanged(program, target.pid)).toBe(true);
    expect(await target.end()).toEqual(['status 0']);
  });

  it('of several definitions at a place are one jump, and each gets its values', async () => {
    const program = cProgram('tests/programs/values.c');
    const target = await startAnswering(program);
    const values = new Map<string, unknown[]>();
    const add = (tracer: ProbeTracer, words: string): Promise<() => Promise<void>> => {
      const own: unknown[] = [];
      values.set(words, own);
      return tracer.add(definitionOf(`p:g/e ${program}:probed_values ${words}`), (hit) =>
        own.push(hit.values),
      );
    };
    await withTracer(async (tracer) => {
      await tracer.attach(target.pid);
      const removeFirst = await add(tracer, 'a=%di');
      await add(tracer, 's=+0(%dx):string');
      await add(tracer, 'a=%di b=%si:s16');
      expect(tracer.places().map(({ kind }) => kind)).toEqual(['jump', 'jump', 'jump']);
      expect(await target.ask('threads 1 3')).toBe('done 0');
      await removeFirst();
      expect(await target.ask('threads 1 2')).toBe('done 0');
    });
    expect(values.get('a=%di')).toEqual([[0n], [1n], [2n]]);
    expect(values.get('s=+0(%dx):string')).toEqual([['one'], ['two'], ['three'], ['one'], ['two']]);
    expect(values.get('a=%di b=%si:s16')).toEqual([
      [0n, 0n],
      [1n, -1n],
      [2n, -2n],
      [0n, 0n],
      [1n, -1n],
    ]);
  });

  it('are breakpoints while another probe is among what a jump would displace', async () => {
    const program = cProgram('tests/programs/values.c');
    const target = await startAnswering(program);
    const { offset } = definitionOf(`p:g/e ${program}:probed_values`);
    const counts = [0, 0];
    await withTracer(async (tracer) => {
      await tracer.attach(target.pid);
      await tracer.add(definitionOf(`p:g/e ${program}:${offset}`), () => (counts[0] = (counts[0] ?? 0) + 1));
      expectJump(tracer);
      // The function begins with an instruction of 4 bytes.
      const remove = await tracer.add(
        definitionOf(`p:g/f ${program}:${offset + 4n}`),
        () => (counts[1] = (counts[1] ?? 0) + 1),
      );
      expect(tracer.places()[0]).toMatchObject({ kind: 'breakpoint', reason: 'neighbour' });
      expect(await target.ask('threads 2 20')).toBe('done 0');
      await remove();
      expectJump(tracer);
      expect(await target.ask('threads 2 20')).toBe('done 0');
    });
    expect(counts).toEqual([80, 40]);
  });

  it(
    'go on under signals whose handlers leave the trampoline by longjmp',
    async () => {
      const program = cProgram('tests/programs/signal-storm.c');
      const target = await startAnswering(program, '4', String(100_000 * SCALE), '300');
      const definition = definitionOf(`p:g/e ${program}:probed_work a=%di:s64 n=$comm`);
      let last = 0;
      await withTracer(async (tracer, utrace) => {
        await tracer.attach(target.pid);
        await tracer.add(definition, () => (last = performance.now()));
        expectJump(tracer);
        const result = target.ask('');
        await untilEnded(utrace, target);
        expect(await result).toBe(`calls ${400_000 * SCALE} wrong 0`);
      });
      expect(last).toBeGreaterThan(0);
    },
    120_000 * SCALE,
  );

  it('told and lost are all calls that were made', async () => {
    const program = cProgram('tests/programs/values.c');
    const target = await startAnswering(program);
    const definition = definitionOf(`p:g/e ${program}:probed_values a=%di s=+0(%dx):string`);
    await withTracer(async (tracer) => {
      await tracer.attach(target.pid);
      for (const threads of [2, 3, 8]) {
        let hits = 0;
        const remove = await tracer.add(definition, () => (hits += 1));
        expectJump(tracer);
        // More than lanes hold, unless we keep up with them.
        await target.ask(`threads ${threads} 20000`);
        tracer.drain();
        expect(hits + tracer.misses(definition)).toBe(threads * 20_000);
        expect(hits).toBeGreaterThan(0);
        await remove();
      }
    });
  });

  it('cover nothing that exceptions and computed jumps lead to', async (context) => {
    needs(context, 'c++');
    const program = cProgram('tests/programs/unusual-entries.cc', ['-Os', '-no-pie']);
    const command = [program, '300'];
    const { image, file } = FileSymbols.open(program, { read: (name) => readFileSync(name) })!;
    const places = image.functions
      .filter(({ names }) => names.some((name) => name.startsWith('probed_')))
      .flatMap(({ address, size }) => disassemble(image.read(address, size)!, address).instructions)
      .map(({ address }) => fileOffsetOf(file, BigInt(address)));
    const output = path.join(mkdtempSync(path.join(tmpdir(), 'usertrace-entries-')), 'output');
    onTestFinished(() => rmSync(path.dirname(output), { recursive: true }));
    // Neighbours would be breakpoints.
    for (let first = 0; first < 5; first++) {
      const chosen = places.filter((_, index) => index % 5 === first);
      let hits = 0;
      await withTracer(async (tracer, utrace) => {
        for (const [index, offset] of chosen.entries())
          await tracer.add(definitionOf(`p:g/e${index} ${program}:${offset}`), () => (hits += 1));
        start(tracer, command, output);
        await utrace.untilEmpty();
      });
      expect(readFileSync(output, 'utf8'), `places ${chosen.join(' ')}`).toBe(unprobed(command));
      expect(hits).toBeGreaterThan(300);
    }
  });

  it('record nothing while nobody listens', async () => {
    const program = cProgram('tests/programs/values.c');
    const target = await startAnswering(program);
    const definition = definitionOf(`p:g/e ${program}:probed_values a=%di`);
    const values: unknown[] = [];
    await withTracer(async (tracer) => {
      await tracer.attach(target.pid);
      await tracer.add(definition, (hit) => values.push(hit.values[0]));
      tracer.setListening(definition, false);
      expect(await target.ask('threads 2 20')).toBe('done 0');
      tracer.setListening(definition, true);
      expect(await target.ask('threads 1 2')).toBe('done 0');
    });
    expect(values).toEqual([0n, 1n]);
  });

  it('are for ordinary users too', async (context) => {
    needs(context, 'setpriv');
    const program = cProgram('tests/programs/probed.c');
    const definition = `p:g/e ${program}:probed_work a=%di s=+0(%si):string`;
    const script = inRepository('tests', 'programs', 'probe-once.mjs');
    const command = [process.execPath, script, definition, program, '4', '150'];
    const { stdout, stderr, status } = await finishAsOrdinaryUser(...command);
    // Threads, a child, and the same again after an exec.
    expect(JSON.parse(stdout)).toMatchObject({ kinds: ['jump'], count: 9 * 150 });
    expect(stderr).toBe(unprobed([program, '4', '150']));
    expect(status).toBe(0);
  });
});

async function untilEnded(utrace: Utrace, target: AnsweringProgram): Promise<void> {
  await until(
    `process ${target.pid} has ended`,
    () => utrace.task(target.pid) === undefined,
    120_000 * SCALE,
  );
}
