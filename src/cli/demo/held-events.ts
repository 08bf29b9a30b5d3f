// What a node holds, as its socket tells it: heads of all chains, and the demo’s events page by page.

import { setTimeout as sleep } from 'node:timers/promises'
import { LIMITS } from '../../base/limits.ts'
import { MeshError } from '../../base/mesh-error.ts'
import type { DemoNode } from './demo-node.ts'
import { DEMO_TYPE } from './share-appender.ts'

const POLL_MS = 10

/** Where every chain ends at a node, as one comparable text. */
async function headsText(node: DemoNode, signal: AbortSignal): Promise<string> {
  const { items } = await node.client.call('log/heads', {}, { signal })
  const heads = items.map(
    ({ author, chain, epoch, seq, id, link }) => `${author.peerId} ${chain} ${epoch} ${seq} ${id} ${link}`
  )
  return heads.sort().join('\n')
}

/** Resolves with the number of chains when all nodes have equal heads. TIMEOUT. */
export async function equalHeads(
  nodes: readonly DemoNode[],
  timeoutMs: number,
  signal: AbortSignal
): Promise<{ readonly chains: number }> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const texts = await Promise.all(nodes.map((node) => headsText(node, signal)))
    const [first = ''] = texts
    if (first !== '' && texts.every((text) => text === first)) return { chains: first.split('\n').length }
    if (performance.now() > deadline)
      throw new MeshError('TIMEOUT', `the nodes did not hold the same within ${timeoutMs} ms`)
    await sleep(POLL_MS, undefined, { signal })
  }
}

/** The demo’s events that a node holds, by id, or of one author only. The text is without the spaces that fill it. */
export async function demoEvents(
  node: DemoNode,
  signal: AbortSignal,
  author?: string
): Promise<ReadonlyMap<string, string>> {
  const events = new Map<string, string>()
  let cursor: string | undefined
  do {
    const query = { type: DEMO_TYPE, limit: LIMITS.pageRowsMax, order: 'oldest' as const }
    const from = { ...(author === undefined ? {} : { author }), ...(cursor === undefined ? {} : { cursor }) }
    const page = await node.client.call('log/query', { ...query, ...from }, { signal })
    for (const { id, json } of page.items) events.set(id, json?.trim() ?? '')
    cursor = page.next ?? undefined
  } while (cursor !== undefined)
  return events
}

/** What of `texts` is not in `held`; equal texts are counted. */
export function missingTexts(texts: readonly string[], held: Iterable<string>): string[] {
  const counts = new Map<string, number>()
  for (const text of held) counts.set(text, (counts.get(text) ?? 0) + 1)
  return texts.filter((text) => {
    const count = counts.get(text) ?? 0
    if (count > 0) counts.set(text, count - 1)
    return count === 0
  })
}
