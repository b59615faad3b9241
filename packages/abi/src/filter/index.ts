export { EventFilter, type FilteredRecord } from './event-filter.ts';
export { COMMON_FILTER_FIELDS, type FilterField, userEventFilterFields } from './filter-field.ts';
export { FilterRefusal } from './filter-refusal.ts';
export type { Comparison, FilterExpression } from './filter-expression.ts';
