// What members say that they offer: the newest `node-announced` of each.

import { LIMITS } from '../base/limits.ts'
import { type QuerySource, queryEvents } from '../log/event-query.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import { type RunEvent, tryParseRunEvent } from '../pipeline/run-events.ts'

export type Announcement = RunEvent<'node-announced'>

/** The newest of each member, newest first. `author`: of this one alone. */
export async function* announcements(
  source: QuerySource,
  author: PublicKeyHex | null = null
): AsyncGenerator<{ readonly member: PublicKeyHex; readonly announced: Announcement }> {
  const seen = new Set<PublicKeyHex>()
  let rows = 0
  const query = { type: 'node-announced', newestFirst: true, ...(author === null ? {} : { author }) }
  for await (const event of queryEvents(source, query)) {
    if (++rows > LIMITS.announcementsReadMax) return
    if (!event.authorised || seen.has(event.author)) continue
    seen.add(event.author)
    const announced = tryParseRunEvent('node-announced', event.payload)
    if (announced !== null) yield { member: event.author, announced }
  }
}

/** Null when the member never said. */
export async function announcementOf(source: QuerySource, member: PublicKeyHex): Promise<Announcement | null> {
  for await (const { announced } of announcements(source, member)) return announced
  return null
}

export function offers(announced: Announcement, kind: 'tool' | 'agent', name: string): boolean {
  return kind === 'tool' ? announced.tools.some((tool) => tool.name === name) : announced.agents.includes(name)
}
