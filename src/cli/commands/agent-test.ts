// pmesh agent test: asks the agent's model for one word.

import type { CommandContext } from '../command-context.ts'
import { formatDuration } from '../human-text.ts'

const TEST_TIMEOUT_MS = 150_000

export async function testAgent(context: CommandContext, [name]: readonly [string]): Promise<number> {
  const result = await context.call('agent/test', { name }, { timeoutMs: TEST_TIMEOUT_MS })
  const { out } = context
  if (out.json) out.value(result)
  else
    out.line(
      result.ok ? { text: '✓', style: 'green' } : { text: '✗', style: 'red' },
      ` ${name}   ${result.text}   ${formatDuration(result.ms)}`
    )
  return result.ok ? 0 : 1
}
