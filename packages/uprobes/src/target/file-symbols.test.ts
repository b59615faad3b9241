import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type FileReader, FileSymbols } from './file-symbols.ts';

const reader: FileReader = {
  read: (path) => (existsSync(path) ? readFileSync(path) : undefined),
};

function hasTools(): boolean {
  try {
    for (const tool of ['cc', 'objcopy', 'strip']) execFileSync(tool, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(!hasTools())('FileSymbols', () => {
  const folder = mkdtempSync(join(tmpdir(), 'usertrace-symbols-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const program = join(folder, 'program');
  const source = join(folder, 'program.c');
  writeFileSync(
    source,
    '__attribute__((noinline)) static int hidden(int a) { return a * 3 + 1; }\nint main(int c, char **v) { (void)v; return hidden(c); }\n',
  );
  execFileSync('cc', ['-O1', '-o', program, source]);
  const whole = FileSymbols.open(program, reader);

  it('finds functions by name, those too that the file does not export', () => {
    expect(whole?.functionNamed('hidden')?.size).toBeGreaterThan(3);
    expect(whole?.functionOffset('hidden')).toBeDefined();
    expect(whole?.functionOffset('nobody')).toBeUndefined();
    expect(FileSymbols.open(join(folder, 'nothing'), reader)).toBeUndefined();
  });

  it('finds them in the debug file when they were stripped, and only in the right one', () => {
    const debug = join(folder, 'program.debug');
    execFileSync('objcopy', ['--only-keep-debug', program, debug]);
    execFileSync('strip', ['--strip-all', program]);
    execFileSync('objcopy', [`--add-gnu-debuglink=${debug}`, program], { cwd: folder });
    const stripped = FileSymbols.open(program, reader);
    expect(stripped?.symbolPath).toBe(debug);
    expect(stripped?.functionOffset('hidden')).toBe(whole?.functionOffset('hidden'));
    writeFileSync(debug, Buffer.concat([readFileSync(debug), Buffer.from('x')]));
    expect(FileSymbols.open(program, reader)?.functionOffset('hidden')).toBeUndefined();
    renameSync(debug, `${debug}.gone`);
    expect(FileSymbols.open(program, reader)?.symbolPath).toBe(program);
  });
});
