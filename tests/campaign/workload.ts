/**
 * Real programs doing real work, always the same. A workload's file is what is probed: the program, or a library of it. It is copied,
 * and the copy is run, so that nobody else's hits are counted.
 */
import { execFileSync } from 'node:child_process';
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
  /** It allocates by the addresses that it gets from the kernel, so that pointers differ when anything else is mapped. */
  readonly hasVaryingPointers: boolean;
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

const PERL_WORK = `
use strict; my %count; my @words;
open(my $file, '<', $ARGV[0]) or die; while (<$file>) { chomp; my ($n, $w, $m) = split / /; $count{$w} += $m; push @words, $w if $n % 3 == 0; }
print join(',', map { "$_=$count{$_}" } (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0..9]), "\\n";
my $text = join ' ', @words; $text =~ s/(\\w)(\\w+?)(\\d)/\\u$2$1$3/g; print length($text), ' ', substr($text, 0, 60), "\\n";
my @sorted = sort { lc $a cmp lc $b } reverse @words; print "@sorted[0..5]\\n"; printf "%.6f %x %s\\n", atan2(1, 3), 48879, sprintf('%08b', 77);
my $sum = 0; for my $i (1 .. 3000) { $sum = ($sum * 31 + ord(substr($text, $i % length $text, 1))) % 1000003; } print "$sum\\n";
my @packed = unpack 'NnC*', pack 'NnC*', 1, 2, 3 .. 9; print "@packed\\n"; eval { die { code => 7 } }; print $@->{code}, "\\n"; print scalar(localtime(0)) =~ /1970/ ? "epoch\\n" : "no\\n";
`;

const SQL_WORK = `
CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT, amount REAL); CREATE INDEX by_word ON t (word);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 800) INSERT INTO t SELECT i, 'w' || (i * 7919 % 101), i / 7.0 FROM n;
SELECT word, count(*), round(sum(amount), 3) FROM t GROUP BY word ORDER BY 3 DESC LIMIT 5;
SELECT a.id, b.id FROM t a JOIN t b ON a.word = b.word AND a.id < b.id ORDER BY a.amount * b.amount LIMIT 4;
UPDATE t SET amount = amount * 2 WHERE word LIKE 'w1%'; DELETE FROM t WHERE id % 5 = 0; SELECT count(*), max(amount), group_concat(id) FROM t WHERE id < 40;
SELECT upper(hex(word)), printf('%05d', id), date(86400 * id, 'unixepoch') FROM t WHERE id BETWEEN 30 AND 36; PRAGMA integrity_check; VACUUM; SELECT json_extract('{"a":[1,2,3]}', '$.a[2]');
`;

const GIT_WORK = `
set -e
rm -rf "$1.repository"; mkdir "$1.repository"; cd "$1.repository"
export GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000000 +0000' HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1
g() { "$0" -c user.name=a -c user.email=b@c -c gc.auto=0 "$@"; }
g init -q -b main; cp "$1" text; g add text; g commit -q -m one; sed 's/word1/other/' "$1" > text; g commit -q -a -m two
g log --stat --format=%H; g diff HEAD~1 --stat; g blame -s text | tail -n 3; g cat-file -p HEAD^{tree}; g repack -q -a -d; g fsck --strict 2>&1; g archive HEAD | cksum; g rev-list --objects --all | cksum
`;

/** A program with something of everything, to be compiled. */
const C_SOURCE = `
#include <stddef.h>
struct node { struct node *next; int key; double weight; union { long l; char c[8]; } u; };
static const char *const names[] = {"a", "b", "c"};
int classify(int x) { switch (x) { case 1: return 3; case 2: return 5; case 3: return 8; case 9: return 13; case 12: return 21; default: return x < 0 ? -1 : 0; } }
double total(const struct node *list, size_t n) { double t = 0; for (size_t i = 0; list && i < n; i++, list = list->next) t += list->weight * (list->key & 7); return t; }
void sort(int *v, int n) { for (int i = 1; i < n; i++) for (int j = i; j > 0 && v[j - 1] > v[j]; j--) { int s = v[j]; v[j] = v[j - 1]; v[j - 1] = s; } }
float dot(const float *restrict a, const float *restrict b, int n) { float s = 0; for (int i = 0; i < n; i++) s += a[i] * b[i]; return s; }
const char *name(unsigned i) { return names[i % 3]; }
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
  const source = path.join(folder, 'source.c');
  writeFileSync(source, C_SOURCE);
  const python = ['/usr/bin/python3', '/usr/local/bin/python3'].find((file) => existsSync(file)) ?? '';
  const node = realpathSync(process.execPath);
  const cpp = missing('c++') === undefined ? cProgram('tests/programs/cpp-work.cc', []) : '';
  const git = ['/bin/sh', '-c', GIT_WORK, '/usr/bin/git', read];
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
    perl: ['/usr/bin/perl', '-e', PERL_WORK, read],
    sqlite3: ['/usr/bin/sqlite3', ':memory:', SQL_WORK],
    tar: [
      '/usr/bin/tar',
      '--create',
      '--sort=name',
      '--file=-',
      '--directory=/',
      'etc/default',
      'usr/bin/bash',
    ],
    gzip: ['/usr/bin/gzip', '-9', '-n', '-c', '/usr/bin/ls'],
    xz: ['/usr/bin/xz', '-T1', '-c', '/usr/bin/ls'],
    curl: ['/usr/bin/curl', '-s', '-S', '-D', '-', `file://${read}`],
    cc1: [compilerProper(), '-quiet', '-O2', source, '-o', '-'],
    gdb: [
      '/usr/bin/gdb',
      '-nx',
      '-batch',
      '-ex',
      'info functions main',
      '-ex',
      'disassemble main',
      '/usr/bin/ls',
    ],
  };
  const libraries = [
    { name: 'libc of bash', library: libc, command: commands['bash'] },
    { name: 'libc of python3', library: libc, command: commands['python3'] },
    { name: 'libstdc++', library: libstdcpp, command: [cpp] },
    { name: 'libcrypto', library: libcrypto, command: openssl },
    { name: 'libsqlite3', library: 'libsqlite3.so.0', command: commands['sqlite3'] },
    { name: 'liblzma', library: 'liblzma.so.5', command: commands['xz'] },
    { name: 'libcurl', library: 'libcurl.so.4', command: commands['curl'] },
    { name: 'libz', library: 'libz.so.1', command: git },
  ];
  const all = [
    ...Object.entries(commands).map(([name, command]) => ({ name, file: command[0] ?? '', command })),
    { name: 'git', file: '/usr/bin/git', command: git },
    ...libraries.map(({ name, library, command = [] }) => ({
      name,
      file: path.join(LIBRARIES, library),
      command,
    })),
  ];
  return all
    .filter(({ file, command }) => existsSync(file) && existsSync(command[0] ?? ''))
    .map((workload) => ({ ...workload, env: {}, hasVaryingPointers: workload.name === 'cc1' }));
}

/** What `cc` runs to compile, or nothing. */
function compilerProper(): string {
  return missing('cc') === undefined
    ? execFileSync('cc', ['-print-prog-name=cc1'], { encoding: 'utf8' }).trim()
    : '';
}

/** A workload whose file is a copy. */
export function privately(workload: Workload, folder: string): Workload {
  const { file, command, env } = workload;
  mkdirSync(folder, { recursive: true });
  // A library is found by its name.
  const copy = path.join(folder, path.basename(file));
  copyFileSync(realpathSync(file), copy);
  if (command.includes(file))
    return { ...workload, file: copy, command: command.map((word) => (word === file ? copy : word)) };
  return { ...workload, file: copy, env: { ...env, LD_LIBRARY_PATH: folder } };
}
