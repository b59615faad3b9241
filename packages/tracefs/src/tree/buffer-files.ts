/** The files that show and change an instance's buffer: sizes, counts, whether it records. They keep no state. */

import { Cpu } from '@usertrace/base';
import { statsText } from '@usertrace/ring';
import { DEFAULT_BUFFER_KIB, type TraceInstance } from '../instance.ts';
import type { FileNode } from '../node.ts';
import { FILE_MODE, controlFile, takingNumber } from './control-file.ts';

/** The one size a sub-buffer has here, in KiB. */
const SUB_BUFFER_KIB = 4;

/** `buffer_size_kb` of one CPU or of all. The size of all is `X` when they differ. */
export function bufferSizeFile(instance: TraceInstance, cpu?: Cpu): FileNode {
  return controlFile(instance, {
    mode: FILE_MODE.readWrite,
    read: () => {
      if (cpu !== undefined) return `${instance.bufferKib(cpu)}\n`;
      const sizes = new Set(sizesKib(instance));
      const [sizeKib] = sizes;
      if (sizes.size > 1) return 'X\n';
      return instance.isExpanded ? `${sizeKib}\n` : `${sizeKib} (expanded: ${DEFAULT_BUFFER_KIB})\n`;
    },
    write: takingNumber((sizeKib) => instance.resizeBuffer(sizeKib, cpu)),
  });
}

/** `buffer_total_size_kb`. */
export function bufferTotalSizeFile(instance: TraceInstance): FileNode {
  return controlFile(instance, {
    mode: FILE_MODE.read,
    read: () => {
      const totalKib = sizesKib(instance).reduce((total, sizeKib) => total + sizeKib, 0);
      if (instance.isExpanded) return `${totalKib}\n`;
      return `${totalKib} (expanded: ${DEFAULT_BUFFER_KIB * instance.cpuCount})\n`;
    },
  });
}

/** `buffer_subbuf_size_kb`: larger sub-buffers are not to be had. */
export function subBufferSizeFile(instance: TraceInstance): FileNode {
  return controlFile(instance, {
    mode: FILE_MODE.readWrite,
    read: () => `${SUB_BUFFER_KIB}\n`,
    write: takingNumber((sizeKib) => (sizeKib < 1 || sizeKib > SUB_BUFFER_KIB ? 'EINVAL' : undefined)),
  });
}

/** `buffer_percent`. */
export function bufferPercentFile(instance: TraceInstance): FileNode {
  return controlFile(instance, {
    mode: FILE_MODE.readWrite,
    read: () => `${instance.bufferPercent}\n`,
    write: takingNumber((percent) => {
      if (percent > 100) return 'EINVAL';
      instance.bufferPercent = percent;
      return undefined;
    }),
  });
}

/** `tracing_on`: every number but 0 starts. */
export function tracingOnFile(instance: TraceInstance): FileNode {
  return controlFile(instance, {
    mode: FILE_MODE.readWrite,
    read: () => (instance.isTracingOn ? '1\n' : '0\n'),
    write: takingNumber((value) => {
      if (instance.isTracingOn !== value > 0) instance.isTracingOn = value > 0;
      return undefined;
    }),
  });
}

/** `per_cpu/cpuN/stats`. */
export function statsFile(instance: TraceInstance, cpu: Cpu): FileNode {
  return controlFile(instance, {
    mode: FILE_MODE.read,
    read: () => statsText(instance.buffer.counts(cpu), instance.clock.printed, instance.clock.now()),
  });
}

function sizesKib(instance: TraceInstance): number[] {
  return Array.from({ length: instance.cpuCount }, (_, index) => instance.bufferKib(Cpu(index)));
}
