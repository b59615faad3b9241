import { expect, test } from 'vitest';
import { Turns } from '../turns.ts';
import { TextReads } from './text-reads.ts';
import { Answer } from './tree-world.sim.ts';

const PIECE = 16_384;
/** What one step may render: 64 KiB, and a piece more. */
const STEP_PIECES = 5;

/** Deferred work that a test does piece by piece. */
class Desk {
  readonly #works: (() => void)[] = [];
  readonly turns: Turns = new Turns({
    defer: (work) => void this.#works.push(work),
    after: () => ({ cancel: () => undefined }),
  });

  /** Does one piece of work. Answers whether there was any. */
  work(): boolean {
    const work = this.#works.shift();
    work?.();
    return work !== undefined;
  }
}

/** A text of numbered pieces that counts how many were rendered. */
class Book {
  rendered = 0;
  readonly reads: TextReads;

  constructor(turns: Turns, pieceCount: number) {
    this.reads = new TextReads(() => this.#pieces(pieceCount), turns);
  }

  begin(offset: number, size = 10): Answer<Uint8Array> {
    const answer = new Answer<Uint8Array>();
    this.reads.read(offset, size, answer);
    return answer;
  }

  *#pieces(count: number): Generator<string, void> {
    for (let number = 0; number < count; number++) {
      this.rendered++;
      yield String(number).padStart(PIECE, '.');
    }
  }
}

const said = ({ value }: Answer<Uint8Array>) => (value instanceof Uint8Array ? String(value) : value);
/** The end of a piece, where its number stands. */
const endOf = (number: number) => (number + 1) * PIECE - 4;

test('a read far into a text is rendered in bounded steps, and then answered', () => {
  const desk = new Desk();
  const book = new Book(desk.turns, 1000);
  const answer = book.begin(endOf(900), 4);
  for (let before = 0; answer.value === undefined; before = book.rendered) {
    expect(book.rendered - before).toBeLessThanOrEqual(STEP_PIECES);
    expect(desk.work()).toBe(true);
  }
  expect(said(answer)).toBe('.900');
  expect(book.rendered).toBe(901);
  expect(desk.work()).toBe(false);
});

test('a large read is answered with what one step renders', () => {
  const book = new Book(new Desk().turns, 1000);
  const { value } = book.begin(0, 1_048_576);
  expect(value).toHaveLength(4 * PIECE);
});

test('reads that wait in several files take turns, one step for each piece of deferred work', () => {
  const desk = new Desk();
  const books = [new Book(desk.turns, 100), new Book(desk.turns, 100), new Book(desk.turns, 100)];
  const answers = books.map((book) => book.begin(endOf(99), 4));
  const total = () => books.reduce((sum, { rendered }) => sum + rendered, 0);
  for (let before = total(); desk.work(); before = total()) {
    expect(total() - before).toBeLessThanOrEqual(STEP_PIECES);
    const counts = books.map(({ rendered }) => rendered);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(STEP_PIECES);
  }
  expect(answers.map(said)).toEqual(['..99', '..99', '..99']);
});

test('reads of one open file at different places are all answered, however they alternate', () => {
  const desk = new Desk();
  const book = new Book(desk.turns, 100);
  const answers = [90, 10, 95, 2].map((number) => book.begin(endOf(number), 4));
  expect(answers.map(said)).toEqual([undefined, undefined, undefined, undefined]);
  for (let steps = 0; desk.work(); steps++) expect(steps).toBeLessThan(100);
  expect(answers.map(said)).toEqual(['..90', '..10', '..95', '...2']);
});

test('an interrupted read is rendered no further, and those behind it are answered', () => {
  const desk = new Desk();
  const book = new Book(desk.turns, 1000);
  const [first, second, third] = [book.begin(endOf(900)), book.begin(endOf(800)), book.begin(endOf(3), 4)];
  desk.work();
  first.interrupt();
  second.interrupt();
  for (let steps = 0; desk.work(); steps++) expect(steps).toBeLessThan(5);
  expect([first, second, third].map(said)).toEqual(['EINTR', 'EINTR', '...3']);
});

test('nothing is rendered for a file that was closed', () => {
  const desk = new Desk();
  const book = new Book(desk.turns, 1000);
  book.begin(endOf(900));
  const before = book.rendered;
  book.reads.release();
  while (desk.work());
  expect(book.rendered).toBe(before);
});
