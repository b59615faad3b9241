/** Memory, registers and system calls of stopped programs. */
import { Registers, systemCallNumber } from '@usertrace/abi';
import { Action } from '@usertrace/utrace';
import { describe, expect, test } from 'vitest';
import { needs } from './fixture.ts';
import { startTarget, tracer, whileThere } from './utrace-fixture.ts';

const GETPID = systemCallNumber('getpid');

describe('examine()', () => {
  test('reads and writes memory and registers of a stopped program', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('memory');
    const [, text = '', counter = ''] = (
      target.output.lines.find((line) => line.startsWith('ready')) ?? ''
    ).split(' ');
    const utrace = tracer();
    await using engine = utrace.attachTask(target.pid, {}, 0);
    await engine.stop();
    await engine.examine((look) => {
      expect(look.readString(BigInt(text))).toBe('usertrace sees this');
      const registers = look.registers();
      expect(registers).toBeInstanceOf(Registers);
      expect(registers.get('rsp')).toBeGreaterThan(0n);
      look.setRegisters(registers);
      expect(() => look.read(8n, 8)).toThrow('EFAULT');
      look.write(BigInt(text), Buffer.from('USERTRACE'));
      look.write(BigInt(counter), Buffer.from([42]));
    });
    engine.control(Action.RESUME);
    expect(await target.output.line(/^counter/)).toBe('counter 42 text USERTRACE sees this');
  });

  test('makes a program call the system, and its own sleep and signals are as before', async (context) => {
    needs(context, 'cc');
    const target = await startTarget('sleep-once', '1500');
    const utrace = tracer();
    const engine = utrace.attachTask(target.pid, {}, 0);
    const rounds = await whileThere(10, async () => {
      await engine.stop();
      await engine.examine((look) => {
        const before = look.registers();
        expect(look.systemCall(GETPID, [])).toBe(BigInt(target.pid));
        expect(look.registers().words).toEqual(before.words);
        expect(look.systemCall(3, [77n])).toBe(-9n);
        expect(() => look.systemCall(57, [])).toThrow('EINVAL');
      });
      engine.control(Action.RESUME);
    });
    expect(rounds).toBeGreaterThan(0);
    expect(await target.output.line(/^slept/)).toBe('slept whole 1');
    await engine.detach();
  });
});
