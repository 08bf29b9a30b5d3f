// Floor of live batches: gossipsub alone between two processes, unsigned, with messages of the product's size.

import { join } from 'node:path'
import { runPair } from '../live-pair.ts'

/** Messages per second from one node to the other, at most 64 under way. */
export async function gossipFloor(messageBytes: number, ms: number): Promise<number> {
  const program = join(import.meta.dirname, 'gossip-process.ts')
  const { count, seconds } = await runPair(program, String(messageBytes), ms)
  return count / seconds
}
