/**
 * Makes what programs load: the package with all that it uses of its siblings in one file, for `import` and for `require`.
 * The siblings as they are would be 60 files with FUSE and task tracking in them, 45 ms instead of 10. Run by
 * `npm run build`, after tsc.
 *
 *     dist/tracepoint.mjs     import
 *     dist/tracepoint.cjs     require, with dist/cts/*.d.cts as its types
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const dist = new URL('dist/', import.meta.url);
const path = (name) => fileURLToPath(new URL(name, dist));

/**
 * koffi is loaded from where @usertrace/linux is, which depends on it: package managers that do not hoist keep it there.
 * It is only looked for at the first tracepoint.
 */
const KOFFI_HOME = {
  esm: `import { createRequire as requireFrom } from 'node:module';
const koffiHome = { get url() {
  try { return requireFrom(import.meta.url).resolve('@usertrace/linux'); } catch { return import.meta.url; }
} };`,
  cjs: `const koffiHome = { get url() {
  try { return require.resolve('@usertrace/linux'); } catch { return __filename; }
} };`,
};

for (const [format, extension] of [
  ['esm', 'mjs'],
  ['cjs', 'cjs'],
]) {
  await build({
    entryPoints: [path('index.js')],
    outfile: path(`tracepoint.${extension}`),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format,
    banner: { js: KOFFI_HOME[format] },
    // The banner's own import.meta.url is not touched: only what is bundled is.
    define: { 'import.meta.url': 'koffiHome.url' },
    logLevel: 'warning',
  });
}

await mkdir(path('cts'), { recursive: true });
for (const name of await readdir(path('.'))) {
  if (!name.endsWith('.d.ts') || name.startsWith('declaration')) continue;
  const text = await readFile(path(name), 'utf8');
  await writeFile(
    path(`cts/${name.replace('.d.ts', '.d.cts')}`),
    text.replaceAll(/'\.\/([\w-]+)\.(ts|js)'/g, "'./$1.cjs'"),
  );
}
