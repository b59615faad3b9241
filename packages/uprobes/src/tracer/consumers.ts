/** Who is told of hits, by what they probe. Hits of jumps come with some delay: a consumer that was removed is kept until the last of them. */

import type { ProbeDefinition } from '../definition/definition.ts';
import type { SlotHit } from '../lane/lane.ts';
import { JumpHit } from '../jump/jump-hit.ts';
import type { HitPlace } from '../jump/jump-hits.ts';
import { definitionKey } from '../jump/wanted-jumps.ts';
import type { Consumer } from './consumer.ts';

/** All of them. */
export class Consumers {
  readonly #failed: (reason: unknown) => void;
  readonly #byDefinition = new Map<string, Set<Consumer>>();

  /** @param failed told of what consumers throw */
  constructor(failed: (reason: unknown) => void) {
    this.#failed = failed;
  }

  add(consumer: Consumer): void {
    const key = definitionKey(consumer.definition);
    const known = this.#byDefinition.get(key);
    if (known === undefined) this.#byDefinition.set(key, new Set([consumer]));
    else known.add(consumer);
  }

  remove(consumer: Consumer): void {
    const key = definitionKey(consumer.definition);
    const known = this.#byDefinition.get(key);
    known?.delete(consumer);
    if (known?.size === 0) this.#byDefinition.delete(key);
  }

  /** Whether it is the only one of its definition. */
  isOnly({ definition }: Consumer): boolean {
    return (this.#byDefinition.get(definitionKey(definition))?.size ?? 0) <= 1;
  }

  /** Returns of a definition that were missed. Each of its consumers misses the same, from when it came on. */
  misses(definition: ProbeDefinition): number {
    const consumers = this.#byDefinition.get(definitionKey(definition)) ?? [];
    return Math.max(0, ...[...consumers].map(({ misses }) => misses));
  }

  /** Tells a jump's hit. */
  tell(place: HitPlace, hit: SlotHit, timeNs: bigint): void {
    const consumers = this.#byDefinition.get(place.definition);
    if (consumers === undefined) return;
    for (const consumer of consumers) {
      try {
        consumer.hit(new JumpHit(consumer.definition, place, hit, timeNs));
      } catch (error) {
        this.#failed(error);
      }
    }
  }
}
