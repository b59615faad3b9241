/** `HitRecords`: hits as records of their events. One encoder for each definition; a record is valid until the next. */
import { type Hit, JumpHit, type ProbeDefinition, RecordEncoder } from '@usertrace/uprobes';

/** A record's bytes, which have room up to a multiple of 4. */
export interface EncodedHit {
  readonly entry: Uint8Array;
  /** 0 when the record fits no page. */
  readonly length: number;
}

export class HitRecords {
  readonly #encoders = new WeakMap<ProbeDefinition, RecordEncoder>();

  encode(hit: Hit): EncodedHit {
    const { definition, address, returnAddress } = hit;
    let encoder = this.#encoders.get(definition);
    if (encoder === undefined) this.#encoders.set(definition, (encoder = new RecordEncoder(definition)));
    const addresses =
      returnAddress === undefined ? [BigInt(address)] : [BigInt(address), BigInt(returnAddress)];
    const length =
      hit instanceof JumpHit
        ? encoder.encodeSlot(addresses, hit.slot)
        : encoder.encodeValues(addresses, hit.values);
    return { length, entry: encoder.bytes };
  }
}
