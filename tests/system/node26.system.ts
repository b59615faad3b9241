/** The server on Node 26, whatever Node runs the tests. */
import { describe, expect, test } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { finish } from '../support/child.ts';
import { needs, SERVER_NEEDS, startServer } from './fixture.ts';

const NODE_26 = ['npx', '--yes', '-p', 'node@26', 'node'];

/** npm may have to fetch Node first. */
const NODE_26_TIMEOUT_MS = 180_000;

describe('Node 26', () => {
  test(
    'serve works on Node 26',
    async (context) => {
      needs(context, ...SERVER_NEEDS, 'node26');
      // npx stays between us and node and passes no signal on, so node's own path is asked for.
      const [npx = '', ...rest] = NODE_26;
      const { stdout } = await finish(npx, [...rest, '-p', 'process.execPath'], { timeoutMs: 50_000 });
      const node = stdout.trim();
      const server = await startServer({ node: [node] });
      await server.append(
        'dynamic_events',
        'u:example_count u32 count\nu:example_message u32 count; __rel_loc char[] text\n',
      );
      await server.enable('user_events');
      const example = await finish(cProgram('tests/programs/abi-example.c'), ['4', '5', server.root]);
      expect(example).toMatchObject({ status: 0 });
      expect(await server.read('trace')).toContain('example_message: count=0x3 (3) text=message number 3\n');
      expect(await server.process.kill('SIGTERM')).toEqual({ status: 0, signal: null });
    },
    NODE_26_TIMEOUT_MS,
  );
});
