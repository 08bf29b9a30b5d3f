// The process that the kill loop kills: appends through many callers and takes in another author's appends, and says on stdout what was
// acknowledged, a line each: AUTHOR EPOCH SEQ ID. Started with: STORE-FOLDER CALLERS.

import { join } from 'node:path'
import { toHex } from '../src/base/bytes.ts'
import { systemClock, systemRandom } from '../src/base/clock.ts'
import { silentLogger } from '../src/base/logger.ts'
import { defaultRights, issueCertificate } from '../src/identity/certificate.ts'
import { signingKeyFromSeed } from '../src/identity/ed25519.ts'
import { meshIdOf } from '../src/identity/mesh-id.ts'
import { buildAppend, prepareEvent } from '../src/log/append-builder.ts'
import { frameAppend } from '../src/log/append-codec.ts'
import { EventLog } from '../src/log/event-log.ts'
import { chainKeyOf } from '../src/log/statement.ts'
import { openLevelStore } from '../src/store/open-level-store.ts'

/** Events that a round appends at full speed before it slows down: the checks of the parent grow with them. */
const FAST_EVENTS = 2500

export const KILL_KEYS = {
  own: signingKeyFromSeed(Buffer.alloc(32, 21)),
  other: signingKeyFromSeed(Buffer.alloc(32, 22))
}
const preimage = { founder: KILL_KEYS.own.publicKey, recovery: null, nonce: Buffer.alloc(16, 2), name: 'kill loop' }
const mesh = meshIdOf(preimage)
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Opens the log of the kill loop; `close` closes both. */
export async function openKillLog(folder: string): Promise<{ log: EventLog; close: () => Promise<void> }> {
  const store = await openLevelStore({
    folder: join(folder, 'store'),
    backups: join(folder, 'backups'),
    expectedMesh: mesh,
    logger: silentLogger
  })
  const log = await EventLog.open({
    store,
    preimage,
    key: KILL_KEYS.own,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    pause
  })
  const close = async (): Promise<void> => {
    await log.close()
    await store.close()
  }
  return { log, close }
}

async function found(log: EventLog): Promise<void> {
  if (log.ownChain().tips.length === 0) await log.append([{ type: 'chain-opened', payload: Buffer.from('{}') }])
  if (log.view.members.has(KILL_KEYS.other.publicKeyHex)) return
  const subject = KILL_KEYS.other.publicKey
  const certificate = issueCertificate(KILL_KEYS.own, {
    mesh,
    subject,
    rank: 10,
    role: 'member',
    rights: defaultRights('member'),
    expiryMs: 0
  })
  await log.appendRecord({ type: 'member-admitted', certificate, invite: null })
}

/** Lines go to the pipe whole and at once: what was written is there when the process is gone. */
function acknowledge(author: 'own' | 'other', epoch: number, seq: number, id: Uint8Array): void {
  process.stdout.write(`${author} ${epoch} ${seq} ${toHex(id)}\n`)
}

async function appendForEver(log: EventLog, caller: number, counter: { events: number }): Promise<never> {
  for (let turn = 0; ; turn++) {
    const drafts = Array.from({ length: 1 + ((turn + caller) % 4) }, (_, index) => ({
      type: 'app-kill',
      payload: Buffer.from(JSON.stringify({ caller, turn, index, text: 'x'.repeat((turn * 37 + caller * 11) % 900) }))
    }))
    for (const { epoch, seq, id } of await log.append(drafts)) acknowledge('own', epoch, seq, id)
    counter.events += drafts.length
    if (counter.events > FAST_EVENTS) await pause(20)
  }
}

async function ingestForEver(log: EventLog): Promise<never> {
  const { other } = KILL_KEYS
  for (let turn = 0; ; turn++) {
    const tip = log.chains.get(chainKeyOf(other.publicKey, 0, 1))?.tips[0] ?? null
    const place = {
      author: other.publicKey,
      chain: 0,
      epoch: 1,
      firstSeq: (tip?.lastSeq ?? 0) + 1,
      prev: tip?.link ?? new Uint8Array(32)
    }
    const drafts = [
      prepareEvent({ type: 'app-kill', payload: Buffer.from(JSON.stringify({ turn, text: 'y'.repeat(turn % 500) })) })
    ]
    const { head, blocks, ids } = buildAppend(
      mesh,
      other,
      place,
      drafts,
      () => ({ ms: Date.now(), counter: 0 }),
      systemRandom
    )
    const [outcome] = await log.ingest(frameAppend(blocks.header, blocks.body), turn % 2 === 0 ? 'gossip' : 'sync')
    if (outcome?.kind !== 'stored') throw new Error(`the other author's append was ${outcome?.kind}`)
    acknowledge('other', 1, head.lastSeq, ids.at(-1) as Buffer)
    await pause(2)
  }
}

async function main(folder: string, callers: number): Promise<void> {
  const { log } = await openKillLog(folder)
  if (log.damaged.length > 0) throw new Error(`a killed process damaged ${log.damaged.join(', ')}`)
  log.setWriteMode('open')
  await found(log)
  process.stdout.write('ready\n')
  const counter = { events: 0 }
  await Promise.all([
    ingestForEver(log),
    ...Array.from({ length: callers }, (_, caller) => appendForEver(log, caller, counter))
  ])
}

if (import.meta.main) await main(process.argv[2] as string, Number(process.argv[3]))
