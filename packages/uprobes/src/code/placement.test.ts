import { describe, expect, it } from 'vitest';
import { BranchIndex } from './branch-index.ts';
import type { CodeImage } from './jump-tables.ts';
import { type Placement, placeProbe } from './placement.ts';

const START = 0x1000;

/** Where a jump table may stand. */
const TABLE = 0x4000;

/** Who else is there, besides the function. */
interface Around {
  readonly entries?: readonly number[];
  readonly isBranchedInto?: boolean;
  /** What the table leads to. */
  readonly table?: readonly number[];
  /** Where exceptions lead to. */
  readonly landingPads?: readonly number[];
}

/** Decides for the first byte of a function whose bytes are given in hex, with what follows it. */
function place(functionHex: string, behindHex = '', around: Around = {}): Placement {
  const code = Buffer.from((functionHex + behindHex).replaceAll(' ', ''), 'hex');
  const size = functionHex.replaceAll(' ', '').length / 2;
  const table = Buffer.from(Int32Array.from(around.table ?? [], (target) => target - TABLE).buffer);
  const regions = [
    { start: START, bytes: code },
    { start: TABLE, bytes: table },
  ];
  const image: CodeImage = {
    read: (address, length) => {
      const found = regions.find(
        ({ start, bytes }) => address >= start && address + length <= start + bytes.length,
      );
      return found?.bytes.subarray(address - found.start, address - found.start + length);
    },
    isCode: (address) => address >= START && address < START + code.length,
    hasLandingPad: (from, to) => around.landingPads?.some((pad) => pad >= from && pad < to) ?? false,
  };
  return placeProbe({
    address: START,
    image,
    function: { address: START, size },
    isEntry: (address) => around.entries?.includes(address) ?? false,
    hasBranchInto: () => around.isBranchedInto ?? false,
  });
}

describe('placeProbe()', () => {
  it('displaces whole instructions, five bytes at least', () => {
    // push rbp; mov rbp,rsp; sub rsp,16; leave; ret
    expect(place('55 48 89 e5 48 83 ec 10 c9 c3')).toMatchObject({ kind: 'jump', length: 8 });
    // endbr64 is four bytes, and so xor eax,eax goes along.
    expect(place('f3 0f 1e fa 31 c0 c3')).toMatchObject({ kind: 'jump', length: 6 });
  });

  it.each([
    ['a branch back into the displaced bytes', '55 ff c0 ff c8 75 fb c3', 'branch-into'],
    ['a loop back into them', '55 ff c0 ff c8 e2 fb c3', 'branch-into'],
    ['a jump that nobody can follow', '48 89 f8 48 ff c0 ff e0', 'indirect-jump'],
    ['bytes that are no instruction', '48 89 f8 48 ff c0 06 c3', 'undecodable'],
    ['a call that comes back too early', 'ff d0 48 89 f8 c3', 'call-inside'],
    ['a system call', '0f 05 48 89 f8 c3', 'unmovable'],
    ['a breakpoint of its own', 'cc 48 89 f8 c3 90', 'unmovable'],
  ])('leaves a breakpoint because of %s', (_, hex, reason) => {
    expect(place(hex)).toEqual({ kind: 'breakpoint', reason });
  });

  it('jumps where a branch leads to the first displaced byte', () => {
    // dec eax; nop; nop; nop; jne back to the start; ret
    expect(place('ff c8 90 90 90 75 f9 c3')).toMatchObject({ kind: 'jump', length: 5 });
  });

  it('moves a call when it is the last', () => {
    expect(place('e8 10 00 00 00 c3')).toMatchObject({ kind: 'jump', length: 5 });
    expect(place('50 50 50 ff d0 c3')).toMatchObject({ kind: 'jump', length: 5 });
  });

  it('takes what fills up behind a short function, and nothing else', () => {
    expect(place('31 c0 c3', '0f 1f 80 00 00 00 00 0f 1f 44 00 00 90')).toMatchObject({
      kind: 'jump',
      length: 5,
    });
    expect(place('31 c0 c3', 'cc'.repeat(13))).toMatchObject({ kind: 'jump' });
    expect(place('31 c0 c3', '55 48 89 e5 90 90 90 90 90 90 90 90 90')).toEqual({
      kind: 'breakpoint',
      reason: 'too-short',
    });
    expect(place('31 c0 c3', 'cc'.repeat(13), { entries: [START + 4] })).toMatchObject({
      reason: 'too-short',
    });
    // It runs on into what follows.
    expect(place('31 c0 90', '90'.repeat(13))).toMatchObject({ reason: 'too-short' });
  });

  it('displaces nothing behind a jump or a `ret` but what fills up there', () => {
    // jmp +5, which five bytes of nops follow; or other code, to which nothing is known to lead.
    expect(place('eb 05 0f 1f 44 00 00 31 c0 c3')).toMatchObject({ kind: 'jump', length: 5 });
    expect(place('eb 05 cc cc cc cc cc 31 c0 c3')).toMatchObject({ kind: 'jump', length: 5 });
    expect(place('eb 05 48 89 f8 31 c0 31 c0 c3')).toEqual({ kind: 'breakpoint', reason: 'branch-into' });
    // It goes on in the middle of them.
    expect(place('eb 01 90 90 90 31 c0 c3')).toEqual({ kind: 'breakpoint', reason: 'branch-into' });
  });

  it('leaves a breakpoint where another function begins inside, or branches to', () => {
    const hex = '55 48 89 e5 48 83 ec 10 c9 c3';
    expect(place(hex, '', { entries: [START + 1] })).toMatchObject({ reason: 'entry-inside' });
    expect(place(hex, '', { isBranchedInto: true })).toMatchObject({ reason: 'branch-into' });
    expect(place(hex, '', { landingPads: [START + 4] })).toMatchObject({ reason: 'branch-into' });
    expect(place(hex, '', { landingPads: [START, START + 8] })).toMatchObject({ kind: 'jump' });
  });

  it('follows jump tables of distances that compilers write', () => {
    // lea table(%rip),%rdx; movslq (%rdx,%rdi,4),%rax; add %rdx,%rax; jmp *%rax; nops to jump to; ret
    const hex = '48 8d 15 f9 2f 00 00 48 63 04 ba 48 01 d0 ff e0 90 90 90 c3';
    expect(place(hex, '', { table: [START + 16, START + 18] })).toMatchObject({ kind: 'jump', length: 7 });
    expect(place(hex, '', { table: [START + 16, START + 3] })).toMatchObject({ reason: 'branch-into' });
    expect(place(hex)).toMatchObject({ reason: 'indirect-jump' });
  });

  it.each([
    ['lea (%rdx,%rax,1),%rax', '48 8d 15 f9 2f 00 00 48 63 04 ba 48 8d 04 02 ff e0 90 c3', 'jump'],
    ['a sum in the table’s register', '48 8d 15 f9 2f 00 00 48 63 04 ba 48 01 c2 ff e2 90 c3', 'jump'],
    ['high registers', '4c 8d 15 f9 2f 00 00 4d 63 0c ba 4d 01 d1 41 ff e1 90 c3', 'jump'],
    // Another register is added; or the table's entries are addresses of labels, read behind one that is understood.
    ['a sum with another', '48 8d 15 f9 2f 00 00 48 63 04 ba 48 01 f0 ff e0 90 90 c3', 'breakpoint'],
    ['a read elsewhere', '48 8d 15 f9 2f 00 00 48 63 0c ba 48 01 d0 ff e0 90 90 c3', 'breakpoint'],
    [
      'a computed goto',
      '48 8d 15 f9 2f 00 00 48 63 04 ba 48 01 d0 ff e0 48 63 04 be ff 24 c1 c3',
      'breakpoint',
    ],
  ])('believes a table only where its entry is what is jumped to: %s', (_, hex, kind) => {
    expect(place(hex, '', { table: [START + 17] })).toMatchObject({ kind });
  });
});

describe('BranchIndex', () => {
  it('sees calls, jumps and branches, far and near', () => {
    const code = Buffer.alloc(0x1000, 0x90);
    code.set([0xe8, 0xfb, 0x01, 0, 0], 0x10); // call 0x210
    code.set([0x0f, 0x85, 0xfa, 0xfe, 0xff, 0xff], 0x400); // jne 0x300
    code.set([0xeb, 0x10], 0x508); // jmp 0x51a
    const index = new BranchIndex(code, START);
    const asked = (offset: number): number[] =>
      index.sourcesInto(START + offset, START + offset + 4).map((source) => source - START);
    expect([0x20f, 0x2fe, 0x517, 0x600].map((offset) => asked(offset))).toEqual([
      [0x10],
      [0x400],
      [0x508],
      [],
    ]);
  });
});
