// What models may cost in one day (UTC), per account, kept across restarts. A call is counted before it is made, so that a crash forgets
// none; its price is added when it is known. A day's spending can pass its limit by the calls that were in flight.

import { z } from 'zod'
import type { Clock } from '../base/clock.ts'

/** Where the counts are kept. `set` is durable when it resolves. */
export interface BudgetStore {
  get(): string | null
  set(text: string): Promise<void>
}

/** Null: not limited. */
export interface BudgetLimits {
  readonly callsPerDay: number | null
  /** Millionths of a US dollar. */
  readonly microsPerDay: number | null
}

export interface DailyBudget {
  /** Counts one call; false, and nothing counted, when the day's limit is reached. Throws what the store throws: then nothing may be called. */
  take(account: string, limits: BudgetLimits): Promise<boolean>
  /** Adds what a call has cost. */
  charge(account: string, micros: number): Promise<void>
}

const count = z.int().min(0)
const ACCOUNTS_MAX = 1024
const saved = z.strictObject({
  day: z.string().regex(/^\d{4}-\d{2}-\d{2}$/),
  accounts: z.record(z.string(), z.strictObject({ calls: count, micros: count }))
})
type Saved = z.output<typeof saved>

/** A store with text that is none of ours counts as a day that is used up: what was spent is not known. */
export function openDailyBudget(store: BudgetStore, clock: Pick<Clock, 'now'>): DailyBudget {
  let state = tryParse(store.get())
  let unreadableDay = state === null ? dayOf(clock) : null
  let writing: Promise<void> = Promise.resolve()

  /** The account's counts of today. A clock that went back stays in the later day. */
  const today = (account: string): { calls: number; micros: number } | null => {
    const day = dayOf(clock)
    if (unreadableDay !== null && day <= unreadableDay) return null
    unreadableDay = null
    if (state === null || day > state.day) state = { day, accounts: {} }
    const known = Object.hasOwn(state.accounts, account) ? state.accounts[account] : undefined
    if (known !== undefined) return known
    if (Object.keys(state.accounts).length >= ACCOUNTS_MAX) return null
    const fresh = { calls: 0, micros: 0 }
    state.accounts[account] = fresh
    return fresh
  }
  const save = (): Promise<void> => {
    const text = JSON.stringify(state)
    writing = writing.catch(() => undefined).then(() => store.set(text))
    return writing
  }

  return {
    take: async (account, { callsPerDay, microsPerDay }) => {
      const spent = today(account)
      if (spent === null) return false
      if (callsPerDay !== null && spent.calls >= callsPerDay) return false
      if (microsPerDay !== null && spent.micros >= microsPerDay) return false
      spent.calls++
      await save()
      return true
    },
    charge: async (account, micros) => {
      const spent = today(account)
      if (spent === null || micros === 0) return
      spent.micros += Math.max(0, Math.ceil(micros))
      await save()
    }
  }
}

function dayOf(clock: Pick<Clock, 'now'>): string {
  return new Date(clock.now()).toISOString().slice(0, 10)
}

/** Null for text that does not read; an empty day where there is none yet. */
function tryParse(text: string | null): Saved | null {
  if (text === null) return { day: '0000-01-01', accounts: {} }
  try {
    const parsed = saved.safeParse(JSON.parse(text))
    return parsed.success ? parsed.data : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}
