/** A probe is added to a function and removed from it, again and again, while eight threads call the function all the time. */
import { strict as assert } from 'node:assert';
import { ProbeTracer } from '@usertrace/uprobes';
import { openUtrace } from '@usertrace/utrace';
import { AnsweringProgram } from '../support/answering-program.ts';
import { definitionOf, isCodeUnchanged } from '../support/native-probes.ts';
import { kindDefinition, probedLoop } from './kinds.ts';

const THREADS = '8';

/** What came of it. */
export interface Changes {
  /** How often the probe came and went. */
  readonly changes: number;
  readonly hits: number;
  /** What the probe was, and how often. */
  readonly became: ReadonlyMap<string, number>;
  /** Calls that the program made and checked. */
  readonly calls: number;
}

/**
 * Adds and removes a probe.
 *
 * @param kind of probe (kinds.ts)
 * @param count how often
 * @param mayGoOn asked before each; told how often it was done
 * @throws {Error} when the program was harmed, or a hit told while there was no probe
 */
export async function changeProbe(
  kind: string,
  count: number,
  mayGoOn: (changes: number) => boolean = () => true,
): Promise<Changes> {
  const program = probedLoop();
  const definition = definitionOf(kindDefinition(kind));
  const target = await AnsweringProgram.start(program, THREADS);
  const refusals: unknown[] = [];
  const became = new Map<string, number>();
  let [changes, hits, late] = [0, 0, 0];
  try {
    await using utrace = openUtrace();
    const tracer = new ProbeTracer(utrace, (reason) => refusals.push(reason));
    await tracer.attach(target.pid);
    for (; changes < count && mayGoOn(changes); changes++) {
      let isThere = true;
      const remove = await tracer.add(definition, () => {
        if (isThere) hits++;
        else late++;
      });
      const states = tracer.places().map(({ kind: is, reason }) => reason ?? is);
      const state = [...new Set(states)].join(' and ') || 'nothing';
      became.set(state, (became.get(state) ?? 0) + 1);
      await remove();
      isThere = false;
    }
    await tracer.close();
    assert.deepEqual(refusals, []);
    assert.equal(late, 0, 'no hit is told after the removal');
    assert.ok(isCodeUnchanged(program, target.pid), 'the code is that of the file');
    const [result = '', status] = await target.end();
    assert.match(result, /^calls [0-9]+ wrong 0$/u);
    assert.equal(status, 'status 0');
    return { changes, hits, became, calls: Number(result.split(' ')[1]) };
  } finally {
    await target.kill();
  }
}
