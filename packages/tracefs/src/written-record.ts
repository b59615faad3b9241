/** What a program wrote as a filter sees it: a record with its common fields, and whose it is, asked for when the filter does. */

import { COMMON_FIELDS_SIZE, type FilteredRecord } from '@usertrace/abi';
import type { Tid } from '@usertrace/base';
import type { InstancePorts } from './instance-ports.ts';

export class WrittenRecord implements FilteredRecord {
  readonly record: DataView;
  readonly tid: Tid;
  readonly #ports: Pick<InstancePorts, 'commandOf' | 'currentCpu'>;

  /** @param payload what follows the common fields */
  constructor(
    typeId: number,
    tid: Tid,
    payload: Uint8Array,
    ports: Pick<InstancePorts, 'commandOf' | 'currentCpu'>,
  ) {
    const bytes = new Uint8Array(COMMON_FIELDS_SIZE + payload.length);
    bytes.set(payload, COMMON_FIELDS_SIZE);
    this.record = new DataView(bytes.buffer);
    this.record.setUint16(0, typeId, true);
    this.record.setInt32(4, tid, true);
    this.tid = tid;
    this.#ports = ports;
  }

  /** The thread's name; empty when it is gone. */
  get comm(): string {
    return this.#ports.commandOf(this.tid) ?? '';
  }

  get cpu(): number {
    return this.#ports.currentCpu();
  }
}
