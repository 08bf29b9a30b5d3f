// Events in the order in which this node stored them, from the commit marks on: what subscriptions read.
import type { EventLog } from './event-log.ts'
import type { LoggedEvent } from './logged-event.ts'
export async function* arrivals(_log: EventLog, _cursor: string | null, _signal: AbortSignal): AsyncGenerator<{ cursor: string; event: LoggedEvent }> {}
