/**
 * Real programs doing real work, always the same. A workload's file is what is probed: the program, or a library of it. It is copied,
 * and the copy is run, so that nobody else's hits are counted.
 */
import { copyFileSync, existsSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { cProgram } from '../support/c-programs.ts';
import { missing } from '../support/requirements.ts';

/** A program and its work. */
export interface Workload {
  readonly name: string;
  /** The file that is probed: of a program's own, or a library's. */
  readonly file: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const LIBRARIES = '/usr/lib/x86_64-linux-gnu';

const SHELL_WORK = `
declare -A counts
words=(alpha beta gamma delta epsilon)
for ((i = 0; i < 300; i++)); do
  word=\${words[i % 5]}
  counts[$word]=$((\${counts[$word]:-0} + i * i % 7))
  case $word in a*) x=\${word^^} ;; *ta) x=\${word/ta/TA} ;; *) x=\${word:1:3} ;; esac
  [[ $x =~ ^([A-Z]+)(.*)$ ]] && x=\${BASH_REMATCH[1]}
  printf -v line '%03d %-8s %x' "$i" "$x" "$i"
  text+=$line$'\\n'
done
for word in "\${words[@]}"; do echo "$word \${counts[$word]}"; done
while read -r number rest; do sum=$((sum + 10#$number)); done <<<"\${text%$'\\n'}"
echo "$sum \${#text}"
fib() { (($1 < 2)) && { echo "$1"; return; }; echo $(($(fib $(($1 - 1))) + $(fib $(($1 - 2))))); }
fib 6
printf '%s\\n' "\${words[@]}" | while read -r word; do echo "<$word>"; done
f() { local IFS=,; echo "$*"; }; f 1 2 3; trap 'echo bye' EXIT; eval 'echo $((16#ff))'; (exit 3) || echo "status $?"
`;

const PYTHON_WORK = `
import json, re, hashlib, collections, itertools, functools, struct, decimal, random, zlib, datetime, io, string, math
random.seed(7)
rows = [{'id': i, 'name': ''.join(random.choice(string.ascii_letters) for _ in range(12)), 'at': i / 7} for i in range(150)]
text = json.dumps(rows, indent=1, sort_keys=True)
assert json.loads(text) == rows
print(hashlib.sha256(text.encode()).hexdigest(), hashlib.md5(text.encode()).hexdigest(), zlib.crc32(text.encode()))
print(len(re.findall(r'"name": "([A-M]\\w+?)[n-z]', text)), re.sub(r'(\\d+)\\.(\\d{1,3})\\d*', r'\\2-\\1', text)[:200])
print(collections.Counter(text).most_common(5), functools.reduce(lambda a, b: a * b, range(1, 60)))
print(sum(decimal.Decimal(i) / 7 for i in range(50)), math.fsum(i / 3 for i in range(1000)))
print(struct.pack('<IdQ', 1, 2.5, 3).hex(), sorted(set(itertools.permutations('abcd')))[5], zlib.decompress(zlib.compress(text.encode()))[:20])
class A:
    def __init__(self, n): self.n = n
    def __lt__(self, other): return self.n < other.n
    def __repr__(self): return f'A({self.n:>4})'
print(sorted(A(random.randrange(1000)) for _ in range(40))[:4])
def g(n):
    try:
        yield from range(n)
        raise ValueError(n)
    finally: pass
try: print(list(g(5)))
except ValueError as e: print('caught', e)
print(datetime.date(2024, 2, 29) + datetime.timedelta(days=366), '%08.3f' % 3.14159, bytes(range(10)).hex(':'))
out = io.StringIO(); print(*(i ** 3 for i in range(30)), sep=',', file=out); print(out.getvalue(), 10 ** 200 % 977, float('1e-300') * 3)
`;

const NODE_WORK = `
const crypto = require('crypto'), zlib = require('zlib');
const rows = Array.from({length: 300}, (_, i) => ({id: i, name: 'n' + (i * 7919 % 1009), at: i / 7, tags: [i % 3, i % 5]}));
const text = JSON.stringify(rows);
console.log(JSON.parse(text).length, crypto.createHash('sha256').update(text).digest('hex'));
console.log(text.match(/"name":"n(\\d+)"/g).length, text.replace(/(\\d+)\\.(\\d+)/g, '$2-$1').slice(0, 150));
console.log(rows.map((r) => r.at).sort((a, b) => b - a).slice(0, 3), new Map(rows.map((r) => [r.name, r.id])).size);
console.log(zlib.gunzipSync(zlib.gzipSync(text)).length, BigInt(2) ** 200n % 977n, new Intl.NumberFormat('en').format(1234567.891));
class A { #n; constructor(n) { this.#n = n; } get n() { return this.#n; } }
let s = 0; for (let i = 0; i < 20000; i++) s = (s * 31 + new A(i).n) | 0; console.log(s);
try { null.x } catch (e) { console.log(e.message) }
function* g() { yield* [1, 2, 3]; } console.log([...g()], Buffer.from('caf\\u00e9').toString('base64'), encodeURIComponent('a b&\\u00e9'));
Promise.resolve(1).then((v) => console.log('then', v)); setTimeout(() => console.log('timer'), 1);
`;

/** Deterministic as far as V8 can be: one thread, and what is random from a seed. */
const NODE_FLAGS = ['--single-threaded', '--predictable-gc-schedule', '--hash-seed=1', '--random-seed=1'];

const OPENSSL_WORK = `
"$0" dgst -sha256 -sha3-512 "$1" 2>&1 || "$0" dgst -sha256 "$1"
"$0" dgst -blake2b512 "$1"
"$0" enc -aes-256-cbc -pbkdf2 -iter 200 -S 0102030405060708 -pass pass:x -in "$1" | "$0" dgst -md5
"$0" enc -chacha20 -K 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff -iv 0 -in "$1" | "$0" dgst -sha1
"$0" enc -base64 -in "$1" | "$0" enc -d -base64 | "$0" dgst -sha512
"$0" asn1parse -genstr UTF8:hello
"$0" prime 1000003
"$0" version -v
`;

/** Lines of numbers and words, for those that read. */
const TEXT_LINES = 400;

function textLine(index: number): string {
  return `${index} word${(index * 7919) % 211} ${(index * 31) % 17}\n`;
}

/**
 * The workloads of this machine.
 *
 * @param folder where what they read is written
 */
export function workloads(folder: string): Workload[] {
  const read = path.join(folder, 'text');
  writeFileSync(read, Array.from({ length: TEXT_LINES }, (_, index) => textLine(index)).join(''));
  const python = ['/usr/bin/python3', '/usr/local/bin/python3'].find((file) => existsSync(file)) ?? '';
  const node = realpathSync(process.execPath);
  const cpp = missing('c++') === undefined ? cProgram('tests/programs/cpp-work.cc', []) : '';
  const openssl = ['/bin/sh', '-c', OPENSSL_WORK, '/usr/bin/openssl', read];
  const [libc, libcrypto, libstdcpp] = ['libc.so.6', 'libcrypto.so.3', 'libstdc++.so.6'];
  const commands: Readonly<Record<string, readonly string[]>> = {
    bash: ['/usr/bin/bash', '--norc', '-c', SHELL_WORK],
    python3: [python, '-S', '-s', '-B', '-c', PYTHON_WORK],
    node: [node, ...NODE_FLAGS, '-e', NODE_WORK],
    sort: ['/usr/bin/sort', '-k2', '-n', '-u', read],
    sha256sum: ['/usr/bin/sha256sum', read],
    ls: ['/usr/bin/ls', '-laR', '--full-time', '/etc'],
    od: ['/usr/bin/od', '-A', 'x', '-t', 'x1z', read],
  };
  const libraries = [
    { name: 'libc of bash', library: libc, command: commands['bash'] },
    { name: 'libc of python3', library: libc, command: commands['python3'] },
    { name: 'libstdc++', library: libstdcpp, command: [cpp] },
    { name: 'libcrypto', library: libcrypto, command: openssl },
  ];
  const all = [
    ...Object.entries(commands).map(([name, command]) => ({ name, file: command[0] ?? '', command })),
    ...libraries.map(({ name, library, command = [] }) => ({
      name,
      file: path.join(LIBRARIES, library),
      command,
    })),
  ];
  return all
    .filter(({ file, command }) => existsSync(file) && existsSync(command[0] ?? ''))
    .map((workload) => ({ ...workload, env: {} }));
}

/** A workload whose file is a copy. */
export function privately(workload: Workload, folder: string): Workload {
  const { file, command, env } = workload;
  mkdirSync(folder, { recursive: true });
  // A library is found by its name.
  const copy = path.join(folder, path.basename(file));
  copyFileSync(realpathSync(file), copy);
  if (command[0] === file) return { ...workload, file: copy, command: [copy, ...command.slice(1)] };
  return { ...workload, file: copy, env: { ...env, LD_LIBRARY_PATH: folder } };
}
