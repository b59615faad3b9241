/** Who puts a probe on a function: nobody, we, or the kernel. Each puts it in for one round, and takes it away. */
import { existsSync, readFileSync } from 'node:fs';
import {
  fileIdentity,
  FileSymbols,
  parseDefinition,
  type ProbeDefinition,
  ProbeTracer,
} from '@usertrace/uprobes';
import { openUtrace, type Utrace } from '@usertrace/utrace';
import { KernelUprobes } from '../../tests/support/kernel-uprobes.ts';
import { type Round, Target } from './target.ts';

/** What is put on a function. */
export interface Probe {
  readonly kind: 'p' | 'r';
  /** Fetch arguments. */
  readonly words: string;
}

const READER = {
  read: (file: string): Uint8Array | undefined => (existsSync(file) ? readFileSync(file) : undefined),
};

/** Where a function is: in the file, and in the program, which is linked to fixed addresses. */
export function functionNamed(name: string): { readonly offset: bigint; readonly address: number } {
  const symbols = FileSymbols.open(Target.program, READER);
  const offset = symbols?.functionOffset(name);
  const address = symbols?.functionNamed(name)?.address;
  if (offset === undefined || address === undefined) throw new Error(`Cannot find ${name}`);
  return { offset, address };
}

function definitionOf({ kind, words }: Probe, name: string): ProbeDefinition {
  const text = `${kind}:bench/probe ${Target.program}:${name} ${words}`;
  const definition = parseDefinition(text, {
    look: (file) => ({ kind: 'regular', identity: fileIdentity(file) }),
    functionOffset: (_, wanted) => functionNamed(wanted).offset,
  });
  if (definition === undefined) throw new Error(`Cannot make a probe of "${text}"`);
  return definition;
}

/** Our probes, in a program of their own. */
export class OurProbes {
  readonly #target: Target;
  readonly #utrace: Utrace;
  readonly #tracer: ProbeTracer;
  readonly #refusals: string[] = [];

  static async start(): Promise<OurProbes> {
    const probes = new OurProbes(await Target.start());
    await probes.#tracer.attach(probes.#target.pid);
    return probes;
  }

  private constructor(target: Target) {
    this.#target = target;
    this.#utrace = openUtrace();
    this.#tracer = new ProbeTracer(this.#utrace, (reason) => this.#refusals.push(String(reason)));
  }

  /**
   * Puts a probe in, and takes it away.
   *
   * @param call the function
   * @param by what the probe has to be there
   * @returns why it is something else; undefined if it is that
   */
  async whyNot(probe: Probe, call: Round['call'], by: 'jump' | 'breakpoint'): Promise<string | undefined> {
    const definition = definitionOf(probe, call);
    const remove = await this.#tracer.add(definition, () => undefined);
    const places = this.#tracer.places().filter((place) => place.definition === definition);
    await remove();
    const wrong = places.find(({ kind }) => kind !== by);
    if (wrong !== undefined) return `it is a ${wrong.kind} there: ${wrong.reason ?? ''}`;
    return places.length === 0 ? this.#refusals.join('; ') : undefined;
  }

  /**
   * @returns nanoseconds of a call
   * @throws {Error} when not all hits were seen
   */
  async run(probe: Probe, round: Round): Promise<number> {
    const definition = definitionOf(probe, round.call);
    let hits = 0;
    const remove = await this.#tracer.add(definition, () => hits++);
    const ns = await this.#target.run(round, () => this.#tracer.drain());
    const misses = this.#tracer.misses(definition);
    await remove();
    const calls = round.calls * round.bursts * round.threads;
    if (hits !== calls)
      throw new Error(`Cannot measure: ${hits} hits and ${misses} missed of ${calls} calls`);
    return ns;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tracer.close();
    await this.#utrace.close();
    await this.#target[Symbol.asyncDispose]();
  }
}

/** The kernel's uprobes and uretprobes. */
export function runUnderKernel(target: Target, probe: Probe, round: Round): Promise<number> {
  const kernel = new KernelUprobes();
  kernel.add('probe', Target.program, functionNamed(round.call).offset, probe.words, probe.kind);
  kernel.enable(true, true);
  return target.run(round).finally(() => kernel[Symbol.dispose]());
}
