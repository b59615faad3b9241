// Preloaded into a server (node --expose-gc --import): on SIGUSR2 it collects all garbage, and says on standard
// output how many bytes are in use then.
process.on('SIGUSR2', () => {
  for (let pass = 0; pass < 4; pass++) globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  process.stdout.write(`in use ${heapUsed + external}\n`);
});
