/** A filter as it was understood: comparisons, and what holds them together. */

import type { FilterField } from './filter-field.ts';

/** How a field is compared; `&` asks for common bits, `~` for a glob. */
export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=' | '&' | '~';

/** A filter that was understood. */
export type FilterExpression =
  | { readonly kind: 'all' | 'any'; readonly terms: readonly FilterExpression[] }
  | { readonly kind: 'not'; readonly term: FilterExpression }
  | {
      readonly kind: 'compare';
      readonly field: FilterField;
      readonly comparison: Comparison;
      readonly value: bigint | string | ReadonlySet<number>;
    };

/** The terms within a pair of parentheses, or of the whole filter, as far as they are read. */
export class OpenTerms {
  readonly isNegated: boolean;
  readonly #any: FilterExpression[] = [];
  #all: FilterExpression[] = [];

  constructor(isNegated: boolean) {
    this.isNegated = isNegated;
  }

  add(term: FilterExpression, isNegated: boolean): void {
    this.#all.push(isNegated ? { kind: 'not', term } : term);
  }

  /** What follows is behind `||`. */
  beginOther(): void {
    const all = together('all', this.#all);
    if (all !== undefined) this.#any.push(all);
    this.#all = [];
  }

  /** @returns undefined if there are none */
  close(): FilterExpression | undefined {
    this.beginOther();
    return together('any', this.#any);
  }
}

function together(kind: 'all' | 'any', terms: readonly FilterExpression[]): FilterExpression | undefined {
  return terms.length > 1 ? { kind, terms } : terms[0];
}
