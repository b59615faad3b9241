import { describe, expect, it } from 'vitest';
import { type DefinitionPort, parseDefinition } from './definition.ts';
import { DefinitionRefusal } from './refusal.ts';

const port: DefinitionPort = {
  look: (path) =>
    path === '/lib/x.so' ? { kind: 'regular', identity: 'x' } : { kind: 'missing', errno: 'ENOENT' },
  functionOffset: (_path, name) => (name === 'open' ? 0x1000n : undefined),
};

describe('parseDefinition()', () => {
  it('takes a function and an offset in it, which the kernel does not', () => {
    const definition = parseDefinition('p:app/open /lib/x.so:open+0x10 path=+0(%di):string', port);
    expect(definition).toMatchObject({ offset: 0x1010n, event: 'open', kind: 'entry' });
    const atReturn = parseDefinition('p /lib/x.so:open%return $retval', port);
    expect(atReturn).toMatchObject({ kind: 'return', offset: 0x1000n, event: 'p_x_0x1000' });
  });

  it('points at a function that it does not find', () => {
    expect(() => parseDefinition('p /lib/x.so:close', port)).toThrow(DefinitionRefusal);
    expect(() => parseDefinition('p /lib/x.so:close', port)).toThrow(
      'Failed to find the given function, at character 13 of "p /lib/x.so:close" (ENOENT)',
    );
  });

  it('keeps nested dereferences from the inside out, with source and type', () => {
    const definition = parseDefinition('p /lib/x.so:0x1 v=+8(-16(@+0x20)):s16[4] b=%di:b3@2/8', port);
    expect(definition?.arguments).toMatchObject([
      {
        source: { kind: 'file-offset', offset: 0x20n },
        dereferences: [{ offset: -16n }, { offset: 8n }],
        type: { basic: { name: 's16' }, count: 4 },
      },
      { source: { kind: 'register', register: 'di' }, type: { bitField: { width: 3, offset: 2 } } },
    ]);
  });
});
