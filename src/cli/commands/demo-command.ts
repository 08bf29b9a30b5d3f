// pmesh demo: hands its options to the demo, which starts nodes.

import type { CommandContext } from '../command-context.ts'

export async function demoCommand(
  context: CommandContext,
  _args: readonly [],
  options: { readonly input?: string; readonly keep?: true }
): Promise<number> {
  const { runDemo } = await import('./demo.ts')
  return runDemo({
    ...(options.input === undefined ? {} : { input: options.input }),
    keep: options.keep === true,
    out: context.out,
    env: context.terminal.env,
    signal: context.signal
  })
}
