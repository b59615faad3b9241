import { describe, expect, it } from 'vitest';
import { loadDemangler } from './demangler.ts';

describe('loadDemangler()', () => {
  it('reads names of C++ and Rust, and leaves others', () => {
    const demangle = loadDemangler();
    expect(demangle('_ZNSt6vectorIiSaIiEE9push_backERKi')).toBe(
      'std::vector<int, std::allocator<int> >::push_back(int const&)',
    );
    expect(demangle('_ZN4core3fmt5write17h0123456789abcdefE')).toBe('core::fmt::write');
    expect(demangle('_RNvCs1234_7mycrate3foo')).toBe('mycrate::foo');
    expect(demangle('_ZN3app3runEi.cold')).toBe('app::run(int) [cold]');
    for (const name of ['malloc', '_start', '_Zbroken', '']) expect(demangle(name)).toBe(name);
  });
});
