/** Other processes' memory as the domain sees it. */
import type { AddressSpaceHandle, RemoteMemory } from '@usertrace/linux';
import type { MemoryPort } from '@usertrace/user-events';

/**
 * The domain's port.
 *
 * @param memory the system's
 * @param catchUp called before the domain hears that an address space is gone, and drops it: it hears first of the
 *   children that were made there
 */
export function memoryPort(memory: RemoteMemory, catchUp: () => void): MemoryPort {
  return {
    open: (tid, uid) => memory.open(tid, uid),
    close: (handle) => memory.close(handle as AddressSpaceHandle),
    isAlive: (handle) => memory.isAlive(handle as AddressSpaceHandle),
    storeBit: (handle, address, bit, set, completed) =>
      memory.storeBit(handle as AddressSpaceHandle, address, bit, set, (outcome) => {
        if (outcome === 'gone') catchUp();
        completed(outcome);
      }),
  };
}
