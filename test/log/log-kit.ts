// A small mesh for tests of the log: Alice founds it, Bob and Carol are admitted with real certificates. Logs run on virtual time and seeded
// randomness; frames pass between them by hand, so that a test decides what arrives where and when.

import { prng } from '../../simulations/prng.ts'
import type { Clock, Random } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { type Certificate, defaultRights, issueCertificate, type Role } from '../../src/identity/certificate.ts'
import { type SigningKey, signingKeyFromSeed } from '../../src/identity/ed25519.ts'
import { type MeshPreimage, meshIdOf } from '../../src/identity/mesh-id.ts'
import { buildAppend, type EventDraft, prepareEvent } from '../../src/log/append-builder.ts'
import { frameAppend } from '../../src/log/append-codec.ts'
import type { IngestOutcome } from '../../src/log/chain-state.ts'
import { type Cut, encodeControl } from '../../src/log/control-records.ts'
import { EventLog } from '../../src/log/event-log.ts'
import { queryPage } from '../../src/log/event-query.ts'
import type { EventStore } from '../../src/log/event-store.ts'
import type { Stamp } from '../../src/log/hybrid-clock.ts'
import type { ChainKey, Head, PublicKeyHex } from '../../src/log/statement.ts'
import { type AuthorReport, verifyLog } from '../../src/log/verify-log.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'

export class VirtualClock implements Clock {
  ms: number

  constructor(ms = 1_700_000_000_000) {
    this.ms = ms
  }

  now(): number {
    return this.ms
  }

  monotonic(): number {
    return this.ms
  }
}

export interface Mesh {
  readonly preimage: MeshPreimage
  readonly id: Uint8Array
  readonly recovery: SigningKey
  readonly alice: SigningKey
  readonly bob: SigningKey
  readonly carol: SigningKey
  readonly dave: SigningKey
}

const seeded = (byte: number): SigningKey => signingKeyFromSeed(Buffer.alloc(32, byte))

/** The same mesh every time. */
export function testMesh(): Mesh {
  const [alice, bob, carol, dave, recovery] = [seeded(1), seeded(2), seeded(3), seeded(4), seeded(9)]
  const preimage = { founder: alice.publicKey, recovery: recovery.publicKey, nonce: Buffer.alloc(16, 7), name: 'home' }
  return { preimage, id: meshIdOf(preimage), recovery, alice, bob, carol, dave }
}

export interface OpenOptions {
  readonly store?: EventStore
  readonly clock?: Clock
  readonly random?: Random
  readonly held?: boolean
  readonly pause?: (ms: number) => Promise<void>
}

/** A log that appends at once unless it is `held`. Without a store: a new one in memory. */
export async function openLog(mesh: Mesh, key: SigningKey, options: OpenOptions = {}): Promise<EventLog> {
  const {
    store = new MemoryStore(),
    clock = new VirtualClock(),
    random = prng(key.publicKey[0] ?? 0, 'log'),
    held = false
  } = options
  const pause = options.pause ?? (() => new Promise<void>((resolve) => setImmediate(resolve)))
  const log = await EventLog.open({ store, preimage: mesh.preimage, key, clock, random, logger: silentLogger, pause })
  if (!held) log.setWriteMode('open')
  return log
}

export function note(text: string, scope?: Uint8Array): EventDraft {
  const payload = Buffer.from(JSON.stringify({ text }))
  return scope === undefined ? { type: 'app-note', payload } : { type: 'app-note', payload, scope }
}

export const OPENED: EventDraft = { type: 'chain-opened', payload: Buffer.from('{}') }

/** The founder's first append. */
export function founding(mesh: Mesh): EventDraft[] {
  return [OPENED, { type: 'mesh-founded', payload: encodeControl({ type: 'mesh-founded', preimage: mesh.preimage }) }]
}

export interface Grant {
  readonly role?: Role
  readonly rank?: number
  readonly rights?: number
}

export function certificateFor(mesh: Mesh, issuer: SigningKey, subject: SigningKey, grant: Grant = {}): Certificate {
  const { role = 'member', rank = role === 'admin' ? 1 : 10, rights = defaultRights(role) } = grant
  return issueCertificate(issuer, { mesh: mesh.id, subject: subject.publicKey, rank, role, rights, expiryMs: 0 })
}

export async function admit(
  log: EventLog,
  mesh: Mesh,
  issuer: SigningKey,
  subject: SigningKey,
  grant: Grant = {}
): Promise<void> {
  await log.appendRecord({
    type: 'member-admitted',
    certificate: certificateFor(mesh, issuer, subject, grant),
    invite: null
  })
}

/** Removes a member where its chains end in this log, or at the given heads, or at exactly these cuts. */
export async function remove(
  log: EventLog,
  subject: PublicKeyHex,
  cutAt: ReadonlyMap<ChainKey, Head | null> = new Map(),
  exactly?: readonly Cut[]
): Promise<void> {
  const cuts =
    exactly ??
    [...log.chains.values()].flatMap(({ key, author, chain, epoch, tips }) => {
      const tip = cutAt.has(key) ? (cutAt.get(key) ?? null) : (tips[0] ?? null)
      return author === subject && tip !== null ? [{ chain, epoch, seq: tip.lastSeq, id: tip.lastId }] : []
    })
  await log.appendRecord({ type: 'member-removed', subject, cuts })
}

/** Alice's log with the mesh founded and Bob and Carol admitted. */
export async function founded(mesh: Mesh, options: OpenOptions = {}): Promise<EventLog> {
  const log = await openLog(mesh, mesh.alice, options)
  await log.append(founding(mesh))
  await admit(log, mesh, mesh.alice, mesh.bob)
  await admit(log, mesh, mesh.alice, mesh.carol)
  return log
}

/** Every stored append of one chain key, a frame each, branches included. */
export async function framesOf(log: EventLog, key: ChainKey): Promise<Buffer[]> {
  const frames: Buffer[] = []
  for await (const { head, blocks } of log.reader.all(null))
    if (head.key === key) frames.push(frameAppend(blocks.header, blocks.body))
  return frames
}

export interface Built {
  readonly head: Head
  readonly frame: Buffer
}

export interface Place {
  readonly chain?: number
  readonly epoch?: number
  /** The append before; left out: the first. */
  readonly after?: Head | null
  readonly stamp?: Stamp
  /** A stamp for each event. */
  readonly stamps?: () => Stamp
  /** Distinguishes appends of equal content. */
  readonly salt?: number
}

/** An append as a member's own program would seal it, whatever its log says. */
export function build(
  mesh: Mesh,
  key: SigningKey,
  drafts: readonly EventDraft[],
  { chain = 0, epoch = 1, after = null, stamp, stamps, salt = 0 }: Place = {}
): Built {
  const prev = after?.link ?? new Uint8Array(32)
  const firstSeq = after === null || after.epoch !== epoch ? 1 : after.lastSeq + 1
  let counter = 0
  const next = (): Stamp =>
    stamp === undefined
      ? { ms: 1_700_000_000_000, counter: counter++ }
      : { ms: stamp.ms, counter: stamp.counter + counter++ }
  const place = { author: key.publicKey, chain, epoch, firstSeq, prev }
  const { head, blocks } = buildAppend(
    mesh.id,
    key,
    place,
    drafts.map(prepareEvent),
    stamps ?? next,
    prng(salt, `${firstSeq}`)
  )
  return { head, frame: frameAppend(blocks.header, blocks.body) }
}

/** Offers everything that one log serves to another until nothing new comes: what sync does, without a network. */
export async function pull(
  from: EventLog,
  to: EventLog,
  authors: readonly PublicKeyHex[] | null = null
): Promise<void> {
  for (let round = 0; round < 8; round++) {
    let news = 0
    for (const state of [...from.chains.values()]) {
      if (authors !== null && !authors.includes(state.author)) continue
      if (state.fork !== null) await to.recordFork(state.fork)
      for (const tip of state.tips) news += await pullLine(from, to, tip)
    }
    if (news === 0) return
  }
}

async function pullLine(from: EventLog, to: EventLog, tip: Head): Promise<number> {
  let after: { seq: number; link: Uint8Array } | null = null
  let news = 0
  for (;;) {
    const range = await from.readRange(tip.key, after, { seq: tip.lastSeq, link: tip.link }, 64 * 1024)
    if (typeof range === 'string') return news
    news += countNews(await to.ingest(range.bytes, 'sync'))
    if (!range.more) return news
    after = range.last
  }
}

export function countNews(outcomes: readonly IngestOutcome[]): number {
  return outcomes.filter((outcome) => outcome.kind === 'stored' || (outcome.kind === 'fork' && outcome.stored)).length
}

export function kinds(outcomes: readonly IngestOutcome[]): string[] {
  return outcomes.map((outcome) => outcome.kind)
}

export async function verify(log: EventLog, author: SigningKey): Promise<AuthorReport> {
  const options = { author: author.publicKeyHex, signal: new AbortController().signal, progress: () => undefined }
  const [report] = await verifyLog(log.state, log.reader, options)
  return report as AuthorReport
}

/** Waits until a condition holds; the log works in microtasks and store calls, so turns of the event loop are enough. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, turnsMax = 5000): Promise<void> {
  for (let turn = 0; turn < turnsMax; turn++) {
    if (await holds()) return
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error(`never came: ${what}`)
}

export function tipOf(log: EventLog, key: ChainKey): Head {
  const tip = log.chains.get(key)?.tips[0]
  if (tip === undefined) throw new Error(`no tip of ${key}`)
  return tip
}

/** Bob's log with the mesh and `notes` own events, an append each. */
export async function bobWith(
  mesh: Mesh,
  alice: EventLog,
  notes: number,
  store = new MemoryStore()
): Promise<EventLog> {
  const bob = await openLog(mesh, mesh.bob, { store })
  await pull(alice, bob)
  await bob.append([OPENED])
  for (let index = 0; index < notes; index++) await bob.append([note(`bob ${index}`)])
  return bob
}

/** Texts of the notes that count, in display order. */
export async function noteTexts(log: EventLog): Promise<string[]> {
  const { events } = await queryPage(log, { type: 'app-note' }, 1000)
  return events.map(({ payload }) => (JSON.parse(Buffer.from(payload ?? []).toString()) as { text: string }).text)
}
