// pmesh node stop: asks the node to stop and waits until its socket is gone.

import { setTimeout as delay } from 'node:timers/promises'
import { MeshError } from '../../base/mesh-error.ts'
import { isSocketLive } from '../../rpc/socket-file.ts'
import type { CommandContext } from '../command-context.ts'

const STOP_TIMEOUT_MS = 30_000
const POLL_MS = 50

export async function stopNode(context: CommandContext): Promise<number> {
  const socket = context.socket()
  await context.call('node/stop', {})
  context.close()
  const timeoutMs = context.options.timeoutMs ?? STOP_TIMEOUT_MS
  const deadline = performance.now() + timeoutMs
  while (await isSocketLive(socket)) {
    if (performance.now() > deadline) throw new MeshError('TIMEOUT', `the node did not stop within ${timeoutMs} ms`)
    await delay(POLL_MS, undefined, { signal: context.signal })
  }
  if (context.out.json) context.out.value({ stopped: true })
  else context.out.remark('stopped')
  return 0
}
