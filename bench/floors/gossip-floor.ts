// Floor of live batches: gossipsub alone, unsigned, with messages of the product's size, between two nodes in one process: publishing and
// delivering share a core, as in a node of more than two members that forwards. The product runs as two processes.

import { fork } from 'node:child_process'
import { join } from 'node:path'
import { message } from './catch-up-floor.ts'

/** Messages per second from one node to the other, at most 64 under way. */
export async function gossipFloor(messageBytes: number, ms: number): Promise<number> {
  const child = fork(join(import.meta.dirname, 'gossip-process.ts'), [String(messageBytes), String(ms)])
  try {
    const { count, seconds } = await message<{ count: number; seconds: number }>(child)
    return count / seconds
  } finally {
    child.kill()
  }
}
