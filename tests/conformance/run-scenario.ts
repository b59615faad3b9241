/** One scenario against a server of its own, as `npm run conformance` and tests of serve's options run it. */
import { finish } from '../support/child.ts';
import { Server } from '../support/server.ts';
import { compareAnswers, parseDriverOutput } from './compare.ts';
import type { Outcome } from './report.ts';
import type { AllowedDifference, Scenario } from './scenario.ts';

const SCENARIO_TIMEOUT_MS = 30_000;

/**
 * Runs a scenario.
 *
 * @param driver the compiled tests/oracle/uevdrive.c
 * @param allowed differences that do not count
 * @param serveArguments further arguments of `usertrace serve`
 */
export async function runScenario(
  driver: string,
  scenario: Scenario,
  allowed: AllowedDifference[],
  serveArguments: readonly string[] = [],
): Promise<Outcome> {
  let server: Server;
  try {
    server = await Server.start({ arguments: serveArguments });
  } catch (error) {
    return { scenario, differences: compareAnswers(scenario, [], allowed), trouble: String(error) };
  }
  // The driver's actors cannot be killed while they wait for the server: when time is up the server goes first.
  const timer = setTimeout(() => void server.crash(), SCENARIO_TIMEOUT_MS);
  const input = scenario.steps.map(({ op }) => `${op}\n`).join('');
  const { stdout } = await finish(driver, [server.root], { input, timeoutMs: 2 * SCENARIO_TIMEOUT_MS });
  clearTimeout(timer);
  const ending = await server.stop();

  const differences = compareAnswers(scenario, parseDriverOutput(stdout, scenario.steps.length), allowed);
  if (ending.status === 0) return { scenario, differences };
  const how = ending.signal ?? `exit ${ending.status}`;
  return { scenario, differences, trouble: `the server ended with ${how}: ${server.process.stderr}` };
}
