// The product's log as the benchmarks use it: the real store, a mesh of one, nothing switched off.

import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { systemClock, systemRandom } from '../src/base/clock.ts'
import { silentLogger } from '../src/base/logger.ts'
import { type SigningKey, signingKeyFromSeed } from '../src/identity/ed25519.ts'
import { type MeshPreimage, meshIdOf } from '../src/identity/mesh-id.ts'
import type { EventDraft } from '../src/log/append-builder.ts'
import { EventLog } from '../src/log/event-log.ts'
import type { EventStore } from '../src/log/event-store.ts'
import { openLevelStore } from '../src/store/open-level-store.ts'

export const BENCH_TYPE = 'app-bench'
/** Every tenth batch has this type: what a query by type finds. */
export const RARE_TYPE = 'app-rare'

const FOUNDER_SEED = new Uint8Array(32).fill(7)

export const founderKey: SigningKey = signingKeyFromSeed(FOUNDER_SEED)
export const preimage: MeshPreimage = {
  founder: founderKey.publicKey,
  recovery: null,
  nonce: new Uint8Array(16).fill(1),
  name: 'bench'
}

export interface BenchLog {
  readonly store: EventStore
  readonly log: EventLog
  close(): Promise<void>
}

export function openBenchStore(folder: string): Promise<EventStore> {
  const options = { folder: join(folder, 'store'), backups: join(folder, 'backups'), logger: silentLogger }
  return openLevelStore({ ...options, expectedMesh: meshIdOf(preimage) })
}

/** Opens the log in `folder`; a new one is founded. */
export async function openBenchLog(folder: string, key: SigningKey = founderKey): Promise<BenchLog> {
  const store = await openBenchStore(folder)
  const log = await EventLog.open({
    store,
    preimage,
    key,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    pause: (ms) => pause(ms)
  })
  log.setWriteMode('open')
  if (key === founderKey && log.chains.size === 0) await log.appendRecord({ type: 'mesh-founded', preimage })
  const close = async () => {
    await log.close()
    await store.close()
  }
  return { store, log, close }
}

const FILL_BATCH = 64
const FILL_OPEN = 64

/** Appends events in batches, many at once. Every tenth batch is of the rare type. */
export async function fillLog(log: EventLog, payloads: readonly Uint8Array[], events: number): Promise<void> {
  const open = new Set<Promise<unknown>>()
  for (let start = 0; start < events; start += FILL_BATCH) {
    const type = (start / FILL_BATCH) % 10 === 0 ? RARE_TYPE : BENCH_TYPE
    const drafts: EventDraft[] = []
    for (let index = start; index < Math.min(events, start + FILL_BATCH); index++) {
      drafts.push({ type, payload: payloads[index % payloads.length] as Uint8Array })
    }
    const append = log.append(drafts).finally(() => open.delete(append))
    open.add(append)
    if (open.size >= FILL_OPEN) await Promise.race(open)
  }
  await Promise.all(open)
}
