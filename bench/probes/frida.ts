/**
 * frida-gum through the npm package `frida`, where that is: its installer fetches a native module from elsewhere, so it is no dependency
 * of this project. Its hook is native code as ours is, and stores the arguments in memory.
 */
import { type Round, Target } from './target.ts';

/** A variable, so that the compiler does not look for what may not be there. */
const PACKAGE: string = 'frida';
export const FRIDA_MISSING = 'needs the npm package frida with its native module';

/** What is used of the package. */
interface Frida {
  attach(pid: number): Promise<Session>;
}
interface Session {
  createScript(source: string): Promise<Script>;
  detach(): Promise<void>;
}
interface Script {
  load(): Promise<void>;
  unload(): Promise<void>;
}

/** The hook: frida compiles the C in it. */
function scriptOf(address: number): string {
  const hook = `
    #include <gum/guminterceptor.h>
    extern gsize ring[];
    extern volatile gint count;
    void onEnter(GumInvocationContext *context) {
      gsize *slot = ring + 8 * (g_atomic_int_add(&count, 1) & 0xffff);
      for (guint index = 0; index < 4; index++)
        slot[index] = (gsize)gum_invocation_context_get_nth_argument(context, index);
    }`;
  return `
    const memory = { ring: Memory.alloc(64 * 65536), count: Memory.alloc(8) };
    const hook = new CModule(${JSON.stringify(hook)}, memory);
    Interceptor.attach(ptr('0x${address.toString(16)}'), { onEnter: hook.onEnter });`;
}

/** In a program of its own. */
export class FridaProbes {
  readonly #target: Target;
  readonly #session: Session;

  /** @returns undefined where the package is not */
  static async start(): Promise<FridaProbes | undefined> {
    let frida: Frida;
    try {
      const loaded = (await import(PACKAGE)) as Frida & { default?: Frida };
      frida = loaded.default ?? loaded;
    } catch {
      return undefined;
    }
    const target = await Target.start();
    return new FridaProbes(target, await frida.attach(target.pid));
  }

  private constructor(target: Target, session: Session) {
    this.#target = target;
    this.#session = session;
  }

  /**
   * @param address of the function in the program
   * @returns nanoseconds of a call
   */
  async run(address: number, round: Round): Promise<number> {
    const script = await this.#session.createScript(scriptOf(address));
    await script.load();
    try {
      return await this.#target.run(round);
    } finally {
      await script.unload();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.detach();
    await this.#target[Symbol.asyncDispose]();
  }
}
