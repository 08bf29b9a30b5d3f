// Shows how far a node is with fetching what members hold: a bar while it is behind, taken away when it is not.

import type { NodeStatus } from '../rpc/methods.ts'
import type { CommandContext } from './command-context.ts'
import { ProgressLine } from './progress-line.ts'

const LOOK_EVERY_MS = 500

export interface SyncProgress {
  /** Looks now; done by itself twice a second. */
  look(): Promise<void>
  end(): void
}

/** Looks at the status until `end` is called; nothing is drawn while nothing is known to be missing, and nothing at all off a terminal. */
export function followSync(context: CommandContext, api: { status(): Promise<NodeStatus> }): SyncProgress {
  const shown = context.terminal.stderr.isTTY === true && !context.options.quiet && !context.out.json
  const progress = new ProgressLine(context.terminal, 'syncing', shown)
  const look = async (): Promise<void> => {
    const { events, behind } = (await api.status()).log
    if (behind > 0) progress.update({ done: events, total: events + behind })
    else progress.end()
  }
  const timer = setInterval(() => {
    // A node that changes its mesh or stops has no status for a moment.
    if (shown) look().catch(() => progress.end())
  }, LOOK_EVERY_MS)
  return {
    look,
    end: () => {
      clearInterval(timer)
      progress.end()
    }
  }
}
