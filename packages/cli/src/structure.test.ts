/** The project's own shape: which package may import which, and that each manifest says what is imported. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const PACKAGES = fileURLToPath(new URL('../../', import.meta.url));

/** Each package with those it may import; what these may import, it may import as well. */
const MAY_USE: Readonly<Record<string, readonly string[]>> = {
  base: [],
  abi: ['base'],
  linux: ['abi'],
  ring: ['abi'],
  formats: ['abi'],
  'user-events': ['abi'],
  tracefs: ['user-events', 'ring', 'linux'],
  tracepoint: ['ring', 'linux'],
  utrace: ['abi', 'linux'],
  uprobes: ['utrace', 'ring'],
  recording: ['ring', 'linux', 'formats'],
  prober: ['uprobes', 'recording'],
  cli: ['tracefs', 'prober'],
};

/** Modules that only some packages may load, with these. */
const RESERVED: Readonly<Record<string, readonly string[]>> = {
  koffi: ['linux'],
  'iced-x86': ['uprobes'],
  'gecko-profiler-demangle': ['cli'],
  commander: ['cli'],
  picocolors: ['cli'],
};

/** Imports in the forms that this code uses, a native module's among them. */
const IMPORT = /(?:\bfrom |\bimport\(|\bimport |\bcreateRequire\(import\.meta\.url\)\()'(?<module>[^']+)'/g;

interface Import {
  readonly file: string;
  readonly module: string;
}

function importsOf(name: string): Import[] {
  const folder = join(PACKAGES, name, 'src');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) =>
      [...readFileSync(join(folder, file), 'utf8').matchAll(IMPORT)].map(({ groups }) => ({
        file: join(folder, file),
        module: packageOf(groups?.['module'] ?? ''),
      })),
    );
}

/** A module's package: some are loaded by the name of a file in it. */
function packageOf(module: string): string {
  return /^[^.@/][^/]*(?=\/)/.exec(module)?.[0] ?? module;
}

function reachable(name: string): Set<string> {
  const direct = MAY_USE[name] ?? [];
  return new Set(direct.flatMap((used) => [used, ...reachable(used)]));
}

function isTest(file: string): boolean {
  return /\.(test|sim)\.ts$/.test(file);
}

/** What a package's published code loads besides Node's own modules and its own files. */
function modulesOf(name: string): string[] {
  const modules = importsOf(name).filter(
    ({ file, module }) => !isTest(file) && !module.startsWith('.') && !module.startsWith('node:'),
  );
  return [...new Set(modules.map(({ module }) => module))].toSorted();
}

describe('the packages', () => {
  it('are those whose order is written down', () => {
    expect(readdirSync(PACKAGES).toSorted()).toEqual(Object.keys(MAY_USE).toSorted());
  });
});

describe.each(Object.keys(MAY_USE))('package %s', (name) => {
  it('imports only packages below it, and those by their name', () => {
    const allowed = reachable(name);
    for (const { file, module } of importsOf(name)) {
      const where = `${relative(PACKAGES, file)} imports ${module}`;
      if (module.startsWith('.')) {
        const target = join(dirname(file), module);
        expect(target.startsWith(join(PACKAGES, name)), where).toBe(true);
        expect(existsSync(target) || target.endsWith('.js'), where).toBe(true);
      } else if (module.startsWith('@usertrace/')) {
        expect(allowed, where).toContain(module.slice('@usertrace/'.length));
      }
      expect(RESERVED[module] ?? [name], where).toContain(name);
    }
  });

  it('depends on exactly what it imports', () => {
    const { dependencies = {} } = JSON.parse(readFileSync(join(PACKAGES, name, 'package.json'), 'utf8')) as {
      dependencies?: Record<string, string>;
    };
    expect(modulesOf(name)).toEqual(Object.keys(dependencies).toSorted());
  });

  it('is built after exactly the packages it imports', () => {
    const { references = [] } = JSON.parse(readFileSync(join(PACKAGES, name, 'tsconfig.json'), 'utf8')) as {
      references?: { path: string }[];
    };
    const imported = modulesOf(name).filter((module) => module.startsWith('@usertrace/'));
    expect(references.map(({ path }) => path.replace('../', '@usertrace/')).toSorted()).toEqual(imported);
  });
});
