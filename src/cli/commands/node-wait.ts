// pmesh node wait: until the node answers and accepts appends; a node that is only just starting is waited for too.

import { setTimeout as delay } from 'node:timers/promises'
import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'

const WAIT_TIMEOUT_MS = 60_000
const RETRY_MS = 100

export async function waitForNode(context: CommandContext): Promise<number> {
  const timeoutMs = context.options.timeoutMs ?? WAIT_TIMEOUT_MS
  const deadline = performance.now() + timeoutMs
  let client = await context.clientIfRunning()
  while (client === null) {
    if (performance.now() > deadline)
      throw new MeshError('NODE_NOT_RUNNING', `the node did not start within ${timeoutMs} ms`)
    await delay(RETRY_MS, undefined, { signal: context.signal })
    client = await context.clientIfRunning()
  }
  const restMs = Math.max(1, Math.round(deadline - performance.now()))
  // The node keeps the time; ours is a little longer, so that its reason arrives.
  await client.call('node/wait', { timeoutMs: restMs }, { signal: context.signal, timeoutMs: restMs + 1_000 })
  if (context.out.json) context.out.value({ ready: true })
  else context.out.remark('ready')
  return 0
}
