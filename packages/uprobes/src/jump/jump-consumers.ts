/** Who is told of the hits of jumps: hits come with some delay, and so a consumer that was removed is kept until the last of them. */

import type { Consumer } from '../breakpoint/probed-places.ts';
import type { SlotHit } from '../lane/lane.ts';
import { JumpHit } from './jump-hit.ts';
import type { HitPlace } from './jump-hits.ts';
import { definitionKey } from './wanted-jumps.ts';

/** Consumers by what they probe. */
export class JumpConsumers {
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

  /** @returns whether it was the last of its definition */
  remove(consumer: Consumer): boolean {
    const key = definitionKey(consumer.definition);
    const known = this.#byDefinition.get(key);
    known?.delete(consumer);
    if (known === undefined || known.size > 0) return false;
    this.#byDefinition.delete(key);
    return true;
  }

  /** Whether it is the only one of its definition. */
  isOnly({ definition }: Consumer): boolean {
    return (this.#byDefinition.get(definitionKey(definition))?.size ?? 0) <= 1;
  }

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
