/** Programs that go on answering while their tracers are killed. */
import { onTestFinished } from 'vitest';
import { AnsweringProgram } from '../support/answering-program.ts';

/** Starts a program, which is killed with the test. */
export async function startAnswering(program: string, ...args: readonly string[]): Promise<AnsweringProgram> {
  const target = await AnsweringProgram.start(program, ...args);
  onTestFinished(() => target.kill());
  return target;
}
