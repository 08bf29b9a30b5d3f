// Appends one node’s share with several callers, each on a connection of its own. Knows of every text whether the node acknowledged it,
// never answered for it, or was never asked.

import { MeshError } from '../../base/mesh-error.ts'
import type { RpcClient } from '../../rpc/rpc-client.ts'
import type { DemoNode } from './demo-node.ts'

/** What the demo’s events are called in the log. */
export const DEMO_TYPE = 'app-demo'

/** Callers of each node. */
export const CALLERS = 4
const BATCH_EVENTS = 16
const INTERRUPT_MS_MAX = 4
/** With headers and JSON escapes below what one call may hold. */
const BATCH_BYTES = 64 * 1024

export interface Share {
  /** Ids of the events that the node acknowledged. */
  readonly acknowledged: readonly string[]
  /** Sent, and the connection broke before an answer: they may be in the log or not. */
  readonly unanswered: readonly string[]
  readonly unsent: readonly string[]
  readonly elapsedMs: number
}

export interface ShareOptions {
  readonly signal: AbortSignal
  /** Called soon after a batch was sent, and only while some are under way. True: ask no more; what is under way may break. */
  readonly interrupt?: (acknowledged: number) => boolean
}

/** Appends `texts` to `node`, in order per caller. Throws what the node refuses; a connection that breaks is in the answer. */
export async function appendShare(node: DemoNode, texts: readonly string[], options: ShareOptions): Promise<Share> {
  const clients = await Promise.all(Array.from({ length: CALLERS }, () => node.connect()))
  const batches = batchesOf(texts)
  const acknowledged: string[] = []
  const unanswered: string[] = []
  let [next, underWay, ended] = [0, 0, false]
  const startedAt = performance.now()
  const interrupt = () => {
    if (!ended && underWay > 0 && options.interrupt?.(acknowledged.length) === true) ended = true
  }
  const call = async (client: RpcClient) => {
    while (!ended && next < batches.length) {
      const batch = batches[next++] ?? []
      underWay++
      // A little later, and differently for each batch, so that it meets the node at any point of its work.
      if (options.interrupt !== undefined) setTimeout(interrupt, next % INTERRUPT_MS_MAX)
      const ids = await send(client, batch, options.signal)
      underWay--
      if (ids === null) {
        unanswered.push(...batch)
        ended = true
        return
      }
      acknowledged.push(...ids)
    }
  }
  try {
    await Promise.all(clients.map(call))
  } finally {
    for (const client of clients) client.close()
  }
  return { acknowledged, unanswered, unsent: batches.slice(next).flat(), elapsedMs: performance.now() - startedAt }
}

/** Ids; null when the connection broke. */
async function send(client: RpcClient, batch: readonly string[], signal: AbortSignal): Promise<string[] | null> {
  try {
    const items = batch.map((json) => ({ type: DEMO_TYPE, json }))
    const answer = await client.call('event/append', { items }, { signal })
    return answer.items.map(({ id }) => id)
  } catch (error) {
    if (error instanceof MeshError && error.code === 'NODE_NOT_RUNNING') return null
    throw error
  }
}

function batchesOf(texts: readonly string[]): string[][] {
  const batches: string[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const text of texts) {
    const batch = batches.at(-1)
    bytes += Buffer.byteLength(text)
    if (batch === undefined || batch.length >= BATCH_EVENTS || bytes > BATCH_BYTES) {
      batches.push([text])
      bytes = Buffer.byteLength(text)
    } else batch.push(text)
  }
  return batches
}
