import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventMatcher } from '../pattern.ts';
import { MountedTree, explain } from './mounted-tree.ts';

let folder: string;
let tree: MountedTree;

function put(file: string, text: string): void {
  mkdirSync(dirname(join(folder, file)), { recursive: true });
  writeFileSync(join(folder, file), text);
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'usermounted-tree-'));
  tree = new MountedTree(folder);
  put('available_events', 'user_events:a\nuser_events:b\n');
  put(
    'events/user_events/a/format',
    'name: a\nID: 2000\nformat:\n\tfield:u8 x;\toffset:8;\tsize:1;\tsigned:0;\n',
  );
  put('events/user_events/a/enable', '1\n');
  put('events/user_events/b/format', 'name: b\nID: 2001\nformat:\n');
  put('events/user_events/b/enable', '0\n');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('MountedTree', () => {
  it('events() reads names, fields and states', () => {
    expect(tree.events()).toEqual([
      {
        system: 'user_events',
        event: 'a',
        id: 2000,
        isEnabled: true,
        fields: [{ type: 'u8', name: 'x', offset: 8, size: 1, isSigned: false }],
      },
      { system: 'user_events', event: 'b', id: 2001, isEnabled: false, fields: [] },
    ]);
  });

  it('events() leaves out an event that went away meanwhile', () => {
    rmSync(join(folder, 'events/user_events/a'), { recursive: true });
    expect(tree.events().map(({ event }) => event)).toEqual(['b']);
  });

  it('switchEvents() writes to what is meant and to nothing else', () => {
    expect(tree.switchEvents(eventMatcher('b'), true)).toEqual([{ system: 'user_events', event: 'b' }]);
    expect(readFileSync(join(folder, 'events/user_events/b/enable'), 'utf8')).toMatch(/^1/);
    expect(tree.switchEvents(eventMatcher('zzz'), false)).toEqual([]);
    expect(readFileSync(join(folder, 'events/user_events/a/enable'), 'utf8')).toBe('1\n');
  });

  it('unsettledWords() are none where the tree does not tell', () => {
    expect(tree.unsettledWords()).toEqual([]);
    put('user_events_unsettled', 'a address=0x10 bit=31 state=late tasks=5\n');
    expect(tree.unsettledWords()).toHaveLength(1);
  });

  it('clearTrace() empties the buffer', () => {
    put('trace', 'text');
    tree.clearTrace();
    expect(tree.trace()).toBe('');
  });

  it('names the file that is missing', () => {
    expect(() => tree.trace()).toThrow(join(folder, 'trace'));
  });
});

describe('explain()', () => {
  it.each([
    ['EACCES', 'not yours'],
    ['ENOTCONN', 'its server has ended'],
    ['EBUSY', 'somebody else'],
    ['EINVAL', '/t/x: what was said'],
  ])('turns %s into something to act on', (code, text) => {
    expect((explain(Object.assign(new Error('what was said'), { code }), '/t/x') as Error).message).toContain(
      text,
    );
  });

  it('leaves bugs alone', () => {
    const bug = new TypeError('x');
    expect(explain(bug, '/t/x')).toBe(bug);
  });
});
