/**
 * Lists of CPUs as the kernel reads them (Documentation/admin-guide/kernel-parameters.rst, "cpu lists"):
 *
 *     0-3,8 12    8-N    all    0-15:2/4 (the first 2 of each 4)
 */

const REGION = /^(?:(?<one>\d+|N)|(?:all|(?<from>\d+|N)-(?<to>\d+|N))(?::(?<used>\d+)\/(?<group>\d+))?)$/i;

/**
 * Reads a list.
 *
 * @param text without braces
 * @param cpuCount how many CPUs there are; a list may name no others
 * @returns undefined for what is no list
 */
export function parseCpuList(text: string, cpuCount: number): ReadonlySet<number> | undefined {
  const cpus = new Set<number>();
  for (const region of text.split(/[\s,]+/u)) {
    if (region === '') continue;
    const match = REGION.exec(region);
    if (match === null) return undefined;
    const { one, from = one, to = one, used, group } = match.groups ?? {};
    const first = from === undefined ? 0 : cpuOf(from, cpuCount);
    const last = to === undefined ? cpuCount - 1 : cpuOf(to, cpuCount);
    const groupSize = group === undefined ? 1 : Number(group);
    const usedSize = used === undefined ? 1 : Number(used);
    if (first > last || last >= cpuCount || groupSize === 0 || usedSize > groupSize) return undefined;
    for (let cpu = first; cpu <= last; cpu++) if ((cpu - first) % groupSize < usedSize) cpus.add(cpu);
  }
  return cpus;
}

function cpuOf(written: string, cpuCount: number): number {
  return /^n$/i.test(written) ? cpuCount - 1 : Number(written);
}
