import { describe, expect, it } from 'vitest';
import { splitEventOptions } from './event-choice.ts';

describe('splitEventOptions()', () => {
  it('takes for a definition what has a place, and for a pattern all else', () => {
    const definitions = [
      'p:grp/ev /bin/true:main',
      'p /bin/true:0x10 a=%di',
      'r:ev /bin/true:main $retval',
      'p:ev  ./x:f',
      'sdt:libc:setjmp',
      'sdt:/lib/x.so:app:done',
    ];
    const patterns = ['p:ev', 'p*', 'process_*', 'r', 'sdt:*', 'user_events:http_*', 'p'];
    expect(splitEventOptions([...patterns, ...definitions])).toEqual({ patterns, definitions });
  });

  it('refuses what is neither', () => {
    for (const wrong of ['q ./server:work', './server:work', 'work id=%di'])
      expect(() => splitEventOptions([wrong])).toThrow('is neither a pattern of events nor a probe');
  });
});
