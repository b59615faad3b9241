/**
 * What failed commands say (`error_log`, Documentation/trace/ftrace.rst). An instance holds one ErrorLog, which
 * keeps the newest ERRORS_MAX errors.
 */

import type { ClockPort } from './instance-clock.ts';

/** As many as the kernel keeps (TRACING_LOG_ERRS_MAX). */
const ERRORS_MAX = 8;

export class ErrorLog {
  readonly #clocks: ClockPort;
  #errors: string[] = [];

  constructor(clocks: ClockPort) {
    this.#clocks = clocks;
  }

  /**
   * @param location which part refused the command
   * @param error what is wrong, without a full stop
   * @param command the command
   * @param position the character of the command where it goes wrong
   */
  add(location: string, error: string, command: string, position: number): void {
    // The kernel stamps with its local clock, whatever clock the instance has.
    const nowNs = this.#clocks.epochNs('monotonic') + BigInt(this.#clocks.now('monotonic'));
    const seconds = String(nowNs / 1_000_000_000n).padStart(5);
    const microseconds = String((nowNs % 1_000_000_000n) / 1000n).padStart(6, '0');
    this.#errors.push(
      `[${seconds}.${microseconds}] ${location}: error: ${error}\n` +
        `  Command: ${command}\n${' '.repeat('  Command: '.length + position)}^\n`,
    );
    if (this.#errors.length > ERRORS_MAX) this.#errors.shift();
  }

  clear(): void {
    this.#errors = [];
  }

  text(): string {
    return this.#errors.join('');
  }
}
