/**
 * What the shop sells, and a cache of what was asked for last.
 */
import * as traced from './tracepoints.js';

/** Something that can be bought. */
export interface Item {
  readonly id: number;
  readonly name: string;
  readonly colour: string;
  readonly price: number;
}

const ITEMS = 500;
const COLOURS = ['red', 'green', 'blue', 'black', 'white', 'yellow'];
const CACHED_ANSWERS_MAX = 4;

const items: readonly Item[] = Array.from({ length: ITEMS }, (_, id) => {
  const colour = COLOURS[id % COLOURS.length] ?? '';
  return { id, name: `${colour} thing ${id}`, colour, price: (id % 90) + 0.99 };
});

/** One item, or undefined when there is none with that number. */
export function itemById(id: number): Item | undefined {
  return items[id];
}

/** Answers as JSON text, by colour; the one added first is the first to go. */
const answersByColour = new Map<string, { text: string; hits: number }>();

/** All items of a colour, as JSON. */
export function itemsOfColour(request: number, colour: string): string {
  const cached = answersByColour.get(colour);
  if (cached !== undefined) {
    cached.hits++;
    traced.cacheHit(request, colour);
    return cached.text;
  }
  traced.cacheMiss(request, colour, answersByColour.size);
  const found = items.filter((item) => item.colour === colour);
  traced.catalogueScan(request, colour, found.length);
  const text = JSON.stringify(found);
  if (answersByColour.size === CACHED_ANSWERS_MAX) evictOldest();
  answersByColour.set(colour, { text, hits: 0 });
  return text;
}

function evictOldest(): void {
  for (const [colour, { hits }] of answersByColour) {
    traced.cacheEvict(colour, hits);
    answersByColour.delete(colour);
    return;
  }
}
