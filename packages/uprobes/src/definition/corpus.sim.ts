/**
 * The definitions that the real kernel was asked about, and is asked again where it stands by: written by hand
 * where a rule is known. Each scenario is a list of commands that
 * are written one after another to an empty `uprobe_events`.
 */

/** The files that scenarios name; `regular` must exist as one, `folder` as a folder, `missing` not at all. */
export const CORPUS_FILES = {
  folder: '/tmp/usertrace-corpus',
  regular: [
    '/tmp/usertrace-corpus/libtarget-1.so',
    '/tmp/usertrace-corpus/odd:name.bin',
    '/tmp/usertrace-corpus/.x',
  ],
  missing: '/tmp/usertrace-corpus/nothing',
} as const;

export const FILE = CORPUS_FILES.regular[0];

/** The words of a text. */
export function words(text: string): string[] {
  return text.trim().split(/\s+/);
}

const REGISTERS = [
  ...words(`
  r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss rax eax al rip xmm0 fs
  AX r16 st0
`),
  '',
];

export const TYPES: readonly string[] = [
  ...words(`
  u8 u16 u32 u64 s8 s16 s32 s64 x8 x16 x32 x64 char string ustring symbol symstr %pd %pD u128 int long
  U8 b3@2/8 b1@0/8 b8@0/8 b64@0/64 b63@1/64 b0@0/8 b9@0/8 b4@5/8 b4@4/8 b2@1 b2 b b2@/8 b2@1/9
  b0x3@2/16 b2@1/32x b-1@0/8 b65@0/64 b4@12/16 u8[1] u8[64] u8[65] u8[0] u8[] u8[ u8[3 u8[3]x u8[x]
  u8[-1] u8[0x8] u8[010] u8[8]] [3] string[2] ustring[3] string[64] b3@2/8[2] x64[4] char[12]
  symbol[2] s16[3] u64[64] string[ u8[3][2] x8[+3] x u s x64x
`),
  '',
  'u8[ 3]',
];

export const SOURCES: readonly string[] = [
  ...words(String.raw`
  %ax %di $stack $stack0 $stack1 $stack63 $stack100000 $stack-1 $stackx $stack0x1 $stack+1
  $stack18446744073709551615 $stack511 $stack512 $stack1023 $stack4095 $stack4096 $retval $comm $COMM
  $arg1 $arg $argx $arg0 $args $foo $ $retvalx $commx $__probe $current $$ % %axx @0x1000 @4096 @+0x10
  @+16 @-16 @ @+ @x @foo @foo+8 @0x @0x1000x @+x @+-1 @18446744073709551615 @18446744073709551616 @010
  @08 \1 \0x10 \-1 \+1 \x \ \"abc" \"abc \" \"" \"a"b" \18446744073709551615 \18446744073709551616
  \-9223372036854775808 \-9223372036854775809 \9223372036854775808 \abc \'a' +0(%di) -8(%bp)
  +8($stack) +0($stack1) +0(@0x1000) +0(@+0x10) +0(\1) +0($comm) +0($retval) +0(+0(%di))
  +8(-8(+0x10(%si))) +u0(%di) +u8(+u0(%si)) -u8(%di) +0(+u8(%si)) +u(%di) +x(%di) +0 +0( +0(%di
  +0(%di)) +0() +(%di) -(%di) + - +0%di +0(%foo) +0(+0(%foo)) +0(%di)x +0xg(%di)
  +9223372036854775807(%di) +9223372036854775808(%di) -9223372036854775808(%di) +-8(%di) --8(%di)
  +08(%di) +010(%di) +0(\"abc") +0($stack +0(0) +0(x) +0(%di)(%si) (%di) 0(%di) ++8(%di) +-+8(%di)
  -+8(%di) -u-8(%di) +u-8(%di) +u0(%di +u0(%foo) -u0(%foo) -0(%foo) -0(%di $stack18446744073709551616
  $arg18446744073709551616 $arg2048 $arg2049 @+9223372036854775808 @+-9223372036854775809 \+-1 \-+1
  \++1 @++16 +0(é) é +0(\"abc) +0(\" @0X10 \"a:b" \"a:b":string +0(\x) -4(\x) foo 1 0x10 "abc" *%di
  &%di %di+1 %di->x %ax,%bx ! ~ +0($args) +0(+0($comm))
`),
  '$stack ',
  '%ax ',
  '+ 0(%di)',
];

function nested(depth: number, inner = '%di'): string {
  return '+0('.repeat(depth) + inner + ')'.repeat(depth);
}

/** Sources that a type fits differently: the type rules depend on where the value comes from. */
export const TYPED_SOURCES: readonly string[] = words(String.raw`
  %di +0(%di) $comm $stack $stack2 @0x1000 @+16 \5 \"text" +u0(%si) +0(+8(%di)) +0($stack1)
`);

const NAMES = [
  ...words(`
  a a1 _a A 1a a-b a.b common_pid common_type common_flags common_x common_preempt_count __probe_ip
  __probe_func __probe_ret_ip arg1 é comm REC a$ %a +a common_tgid ip a:b
`),
  ...[31, 32, 33, 63, 64].map((length) => 'a'.repeat(length)),
  '',
  ' ',
  'a b',
];

const EVENTS = [
  ...words(`
  utp/ev utp.ev utp/ /ev / utp/ev/x utp. .ev . ev1 utp/1ev 1utp/ev utp/e-v u-tp/ev utp/ev- utp/_ev
  _utp/ev utp/common_pid utp/é :utp/ev utp:ev utp/ev:x utp.ev.x utp/ev.x utp.ev/x uprobes/ev2
  sched/sched_switch syscalls/x utp/enable utp/filter utp//ev
`),
  ...[62, 63, 64, 65].flatMap((length) => [`utp/${'e'.repeat(length)}`, `${'g'.repeat(length)}/ev`]),
  `${'g'.repeat(64)}/`,
  'e'.repeat(64),
  '',
];

const PLACES = words(`
  ${FILE}:0x10 ${FILE}:16 ${FILE}:020 ${FILE}:0 ${FILE}:0x ${FILE}:x ${FILE}: ${FILE} ${FILE}:-1
  ${FILE}:+16 ${FILE}:0x10x ${FILE}:1x ${FILE}:18446744073709551615 ${FILE}:18446744073709551616
  ${FILE}:08 ${FILE}:0x10(0x20) ${FILE}:0x10(0) ${FILE}:0x10( ${FILE}:0x10() ${FILE}:0x10(x)
  ${FILE}:0x10(0x20 ${FILE}:0x10(1)x ${FILE}:0x10%return ${FILE}:0x10%returnx ${FILE}:0x10%ret
  ${FILE}:0x10% ${FILE}:0x10%return(0x20) ${FILE}:0x10(0x20)%return ${FILE}:0x10%%return
  ${FILE}:0x10(-1) ${FILE}:0x10(+1) ${FILE}:0x10) ${FILE}:0x10((1)) ${FILE}:0x10(1)(2) ${FILE}:main
  ${FILE}:main+4 ${CORPUS_FILES.folder}:0x10 ${CORPUS_FILES.folder}/nothing:0x10
  ${CORPUS_FILES.folder}/nothing/x:0x10 ${FILE}/x:0x10 libtarget-1.so:0x10 :0x10 /:0x10 x 0x10 a/b:1
  ${CORPUS_FILES.folder}/../usertrace-corpus/libtarget-1.so:0x10
  ${CORPUS_FILES.folder}/odd:name.bin:0x10 ${CORPUS_FILES.folder}/.x:0x10 /dev/null:0x10
  ${FILE}:0x10:0x20 ${FILE}:1_0 ${FILE}:0X1F ${FILE}:0x7fffffffffffffff ${FILE}:0xffffffffffffffff
  /${FILE}:0x10 ${FILE}:0xAb ${FILE}:00
`);

const STARTS = [
  ...words(`
  p r p: r: p:utp/ev r:utp/ev P:utp/ev x:utp/ev pp:utp/ev p1:utp/ev r5:utp/ev px :utp/ev - + e:utp/ev
  f:utp/ev t:utp/ev p;utp/ev p/utp/ev pu:tp/ev r0:utp/ev rx:utp/ev
`),
  '',
];

/** Several commands that meet each other. */
const SEQUENCES: readonly (readonly string[])[] = [
  [`p:utp/ev ${FILE}:0x10 %ax`, `p:utp/ev ${FILE}:0x10 %ax`],
  [`p:utp/ev ${FILE}:0x10 %ax`, `p:utp/ev ${FILE}:0x20 %ax`],
  [`p:utp/ev ${FILE}:0x10 %ax`, `p:utp/ev ${FILE}:0x20 %bx`, '-:utp/ev'],
  [`p:utp/ev ${FILE}:0x10 %ax`, `p:utp/ev ${FILE}:0x20 %bx:u32`],
  [`p:utp/ev ${FILE}:0x10 %ax`, `p:utp/ev ${FILE}:0x20 a=%bx`],
  [`p:utp/ev ${FILE}:0x10 %ax`, `p:utp/ev ${FILE}:0x20`],
  [`p:utp/ev ${FILE}:0x10`, `p:utp/ev ${FILE}:0x20 %ax`],
  [`p:utp/ev ${FILE}:0x10 a=%ax b=%bx`, `p:utp/ev ${FILE}:0x20 a=%ax c=%bx`],
  [`p:utp/ev ${FILE}:0x10 a=%ax b=%bx`, `p:utp/ev ${FILE}:0x20 a=%ax b=%bx:u8`],
  [`p:utp/ev ${FILE}:0x10 a=%ax b=%bx`, `p:utp/ev ${FILE}:0x20 a=%ax`],
  [`p:utp/ev ${FILE}:0x10 a=%ax`, `p:utp/ev ${FILE}:0x20 a=%ax b=%bx`],
  [`p:utp/ev ${FILE}:0x10 a=+0(%di):u8[3]`, `p:utp/ev ${FILE}:0x20 a=+0(%si):u8[4]`],
  [`p:utp/ev ${FILE}:0x10 a=+0(%di):u8[3]`, `p:utp/ev ${FILE}:0x20 a=+0(%si):u8[3]`],
  [`p:utp/ev ${FILE}:0x10 a=+0(%di):u8`, `p:utp/ev ${FILE}:0x20 a=+0(%si):u8[3]`],
  [`p:utp/ev ${FILE}:0x10 a=%di:b3@2/8`, `p:utp/ev ${FILE}:0x20 a=%di:b4@2/8`],
  [`p:utp/ev ${FILE}:0x10 a=+0(%di):string`, `p:utp/ev ${FILE}:0x20 a=+0(%di):ustring`],
  [`p:utp/ev ${FILE}:0x10`, `r:utp/ev ${FILE}:0x10`],
  [`r:utp/ev ${FILE}:0x10`, `p:utp/ev ${FILE}:0x10%return`],
  [`p:utp/ev ${FILE}:0x10`, `p:utp/ev2 ${FILE}:0x10`],
  [`p:utp/ev ${FILE}:0x10(0x40)`, `p:utp/ev2 ${FILE}:0x10(0x40)`],
  [`p:utp/ev ${FILE}:0x10(0x40)`, `p:utp/ev2 ${FILE}:0x10(0x44)`],
  [`p:utp/ev ${FILE}:0x10(0x40)`, `p:utp/ev2 ${FILE}:0x10`],
  [`p:utp/ev ${FILE}:0x10(0x40)`, `p:utp/ev ${FILE}:0x10(0x44)`],
  [`p ${FILE}:0x10`, `p ${FILE}:0x10`],
  [`p ${FILE}:0x10`, `r ${FILE}:0x10`],
  [`p ${FILE}:0x10`, '-:p_libtarget_0x10'],
  [`p ${FILE}:0x10`, '-:uprobes/p_libtarget_0x10'],
  [`p:utp/ev ${FILE}:0x10`, '-:ev'],
  [`p:utp/ev ${FILE}:0x10`, '-:utp/ev', '-:utp/ev'],
  [`p:utp/ev ${FILE}:0x10`, '-:utp/'],
  [`p:utp/ev ${FILE}:0x10`, '-:utp/ev2'],
  [`p:utp/ev ${FILE}:0x10`, '-:other/ev'],
  [`p:utp/ev ${FILE}:0x10`, '-utp/ev'],
  [`p:utp/ev ${FILE}:0x10`, '-p:utp/ev'],
  [`p:utp/ev ${FILE}:0x10`, '- utp/ev'],
  [`p:utp/ev ${FILE}:0x10`, '-:utp.ev'],
  [`p:utp/ev ${FILE}:0x10`, '-:UTP/ev'],
  [`p:utp/ev ${FILE}:0x10`, `p:utp/ev ${FILE}:0x20`, `-:utp/ev ${FILE}:0x20`],
  [`p:utp/ev ${FILE}:0x10`, `p:utp/ev ${FILE}:0x20`, `-:utp/ev ${FILE}:0x0000000000000020`],
  [`p:utp/ev ${FILE}:0x10`, `p:utp/ev ${FILE}:0x20`, `-:utp/ev ${FILE}:0x30`],
  [`p:utp/ev ${FILE}:0x10 a=%ax`, `p:utp/ev ${FILE}:0x20 a=%bx`, `-:utp/ev ${FILE}:0x0000000000000020 a=%bx`],
  [`p:utp/ev ${FILE}:0x10 a=%ax`, `p:utp/ev ${FILE}:0x20 a=%bx`, `-:utp/ev ${FILE}:0x0000000000000020 a=%ax`],
  [`p:utp/ev ${FILE}:0x10 a=%ax`, `p:utp/ev ${FILE}:0x20 a=%bx`, `-:utp/ev ${FILE}:0x0000000000000020`],
  [`p:utp/ev ${FILE}:0x10 a=%ax`, `-:utp/ev ${FILE}:0x0000000000000010 a=%ax x`],
  ['-:nothing/here'],
  ['-:nothing'],
  ['-:'],
  ['-:/'],
  ['-: '],
  [`p:utp/a ${FILE}:0x10`, `p:utp/b ${FILE}:0x10`, `r:utp/c ${FILE}:0x10`, '-:utp/b'],
  [`p:utp/ev ${FILE}:0x10 a=%ax a=%bx`],
  [`p:utp/ev ${FILE}:0x10 %ax arg1=%bx`],
  [`p:utp/ev ${FILE}:0x10 arg2=%ax %bx`],
  [`p:utp/ev ${FILE}:0x10 a=%ax b=%foo c=%bar`],
  [`p:utp/ev ${FILE}:0x10 ${Array.from({ length: 128 }, (_, i) => `a${i}=%ax:u8`).join(' ')}`],
  [`p:utp/ev ${FILE}:0x10 ${Array.from({ length: 129 }, (_, i) => `a${i}=%ax:u8`).join(' ')}`],
  [`p:utp/ev ${FILE}:0x10 ${Array.from({ length: 40 }, () => '%ax').join(' ')}`],
  [`r:utp/ev ${FILE}:0x10 $retval +0($retval):string a=$retval:u8 $comm`],
  [`r:utp/ev ${FILE}:0x10 ret=$retval:x32 $stack +0(%sp)`],
  [`r:utp/ev ${FILE}:0x10 $arg1`],
  [`p:utp/ev ${FILE}:0x10 # comment %foo`],
  ['# comment'],
  [''],
  ['   '],
  [`p:utp/ev   ${FILE}:0x10\t%ax   b=%bx  `],
  [`  p:utp/ev ${FILE}:0x10`],
  [`p:utp/ev ${FILE}:0x10 \\"a b"`],
  [`p:utp/ev ${FILE}:0x10 a=\\"text":string b=\\"more"`],
  [`p:utp/ev ${FILE}:0x10 a==%ax`],
  [`p:utp/ev ${FILE}:0x10 a=b=%ax`],
  [`p:utp/ev ${FILE}:0x10 =%ax`],
  [`p:utp/ev ${FILE}:0x10 a=`],
  [`p:utp/ev ${FILE}:0x10 a=:u8`],
  [`p:utp/ev ${FILE}:0x10 a=%ax:`],
  [`p:utp/ev ${FILE}:0x10 a=%ax:u8:u8`],
  [`p:utp/ev ${FILE}:0x10 a=${nested(6)}`],
  ...[1, 2, 3, 10, 14, 15, 16, 17].map((depth) => [`p:utp/ev ${FILE}:0x10 a=${nested(depth)}`]),
  ...[14, 15, 16].map((depth) => [`p:utp/ev ${FILE}:0x10 a=${nested(depth)}:string`]),
  ...['@1', '@+1', '\\1', '$stack1', '%r8'].flatMap((inner) =>
    [11, 12, 13, 14, 15].map((depth) => [`p:utp/ev ${FILE}:0x10 a=${nested(depth, inner)}`]),
  ),
  ...['@1', '@+1'].flatMap((inner) =>
    [12, 13, 14].map((depth) => [`p:utp/ev ${FILE}:0x10 a=${nested(depth, inner)}:b3@2/8`]),
  ),
  [`p:utp/ev ${FILE}:0x10 a=%ax b=%bx`, `p:utp/ev ${FILE}:0x20 z=%ax`],
  [`p:utp/ev ${FILE}:0x10 a=%ax`, `p:utp/ev ${FILE}:0x20 z=%ax b=%bx`],
  [`p:utp/ev ${FILE}:0x10 a=%ax`, `p:utp/ev ${FILE}:0x10 a=%bx`],
  [`p:utp/ev ${FILE}:0x10 a=%ax`, `p:utp/ev ${FILE}:0x20 a=%bx`, `p:utp/ev ${FILE}:0x20 a=%bx`],
  [`p:utp/ev ${FILE}:0x10 a=%ax`, `p:utp/ev ${FILE}:0x20 a=%bx`, `p:utp/ev ${FILE}:0x30 a=%bx:u8`],
  [`p:utp/a ${FILE}:0x10`, `r:utp/b ${FILE}:0x10(0x20)`],
  [`p:utp/a ${FILE}:0x10`, `p:utp/b ${FILE}:0x10 %foo`, `r:utp/c ${FILE}:0x10(0x20) %foo`],
  [`p:utp/a ${FILE}:0x10(8)`, `-:utp/a ${FILE}:0x0000000000000010(0x8)`],
  [`p:utp/a ${FILE}:0x10(8)`, `-:utp/a ${FILE}:0x0000000000000010`],
  [`p:1utp/ev ${CORPUS_FILES.missing}:0x10 %foo`],
  [`p:1utp/ev ${FILE}:0x %foo`],
  [`p:1utp/ev ${FILE}:0x10 %foo`],
  [`p:sched/sched_switch ${FILE}:0x10 %foo`],
  [`p:utp/1ev ${FILE}:0x10(x %foo`],
  [`p:utp/1ev ${FILE}:0x10 ${Array.from({ length: 129 }, () => '%foo').join(' ')}`],
  [`p:utp/ev ${FILE}:0x10 1=%foo:bar`],
  [`p:utp/ev ${FILE}:0x10 a=%ax a=%foo`],
  [`p:utp/ev ${FILE}:0x10 a=%foo:bar`],
  [`p:utp/ev ${FILE}:0x10 a=%foo:u8[3]`],
  [`p:utp/ev ${FILE}:0x10 a=%foo:b9@0/8`],
  [`p:utp/ev ${FILE}:0x10 a=%di:b9@0/8[2]`],
  [`p:utp/ev ${FILE}:0x10 a=+0(%di):b9@0/8[2]`],
  ...[
    'b1@18446744073709551615/8',
    'b18446744073709551615@1/8',
    'b18446744073709551615@2/8',
    'b1@0/+8',
    'b1@0/010',
    'b08@0/8',
    'b0x@0/8',
    'b1@0x/8',
  ].map((type) => [`p:utp/ev ${FILE}:0x10 a=%di:${type}`]),
  ...['u8[4294967296]', 'u8[4294967295]', 'u8[18446744073709551616]', 'u8[1', 'u8]', 'u8[1]]['].map(
    (type) => [`p:utp/ev ${FILE}:0x10 a=+0(%di):${type}`],
  ),
  [`r:utp/ev ${FILE}:0x10 $retvalx $retval1 +0($retvalfoo)`],
  [`p ${FILE}:0x10%return $retval`],
  ...[13, 14, 15, 16].map((depth) => [`p:utp/ev ${FILE}:0x10 a=${nested(depth)}:u8[3]`]),
  ...[13, 14, 15, 16].map((depth) => [`p:utp/ev ${FILE}:0x10 a=${nested(depth)}:b3@2/8`]),
  ...[61, 62, 63, 64, 65].map((length) => [`p:utp/ev ${FILE}:0x10 a=+0x${'0'.repeat(length - 10)}8(%di)`]),
  ...[20, 250, 252, 253, 254, 255, 256, 300].map((length) => [
    `p:utp/ev ${FILE}:0x10 ${'b'.repeat(length)}=%ax`,
  ]),
  ...[30, 60, 100, 200, 250, 255].map((length) => [
    `p:utp/ev ${FILE}:0x10 a=\\"${'t'.repeat(length)}":string`,
  ]),
];

/** Every scenario written by hand. */
export function handWritten(): (readonly string[])[] {
  const event = `p:utp/ev ${FILE}:0x10`;
  return [
    ...REGISTERS.map((register) => [`${event} a=%${register}`]),
    ...SOURCES.flatMap((source) => [[`${event} ${source}`], [`${event} first=%ax second=${source}:x32`]]),
    ...['$retval', '$comm', '%ax', '$arg1', '$stack1', '+0($retval)', '\\1'].map((source) => [
      `r:utp/ev ${FILE}:0x10 ${source}`,
    ]),
    ...TYPED_SOURCES.flatMap((source) => TYPES.map((type) => [`${event} v=${source}:${type}`])),
    ...NAMES.map((name) => [`${event} ${name}=%ax`]),
    ...EVENTS.flatMap((name) => [[`p:${name} ${FILE}:0x10 %ax`], [`-:${name}`]]),
    ...PLACES.flatMap((place) => [[`p:utp/ev ${place}`], [`r ${place} %ax`]]),
    ...STARTS.flatMap((start) => [[`${start} ${FILE}:0x10 %ax`], [start]]),
    ...SEQUENCES,
  ];
}
