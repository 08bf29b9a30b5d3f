// The local API of one running node (node-api.ts), on whatever node the runtime runs at the moment: a join puts another in its place.

import { open } from 'node:fs/promises'
import { equalBytes, fromHex, toHex, tryParseHex, utf8 } from '../base/bytes.ts'
import { systemClock } from '../base/clock.ts'
import { isMeshError, MeshError } from '../base/mesh-error.ts'
import { defaultRights, hasRight, type Role } from '../identity/certificate.ts'
import { signingKeyFromSeed } from '../identity/ed25519.ts'
import { fingerprintWords, peerIdOf } from '../identity/peer-id.ts'
import { tryParseRecoveryWords } from '../identity/recovery-words.ts'
import { signRefounding } from '../identity/refounding.ts'
import { suffixOf } from '../log/append-rows.ts'
import { arrivals, cursorOfNow } from '../log/arrivals.ts'
import type { ChainState } from '../log/chain-state.ts'
import { type Cut, encodeCuts } from '../log/control-records.ts'
import { queryPage } from '../log/event-query.ts'
import { exportLog } from '../log/export.ts'
import { grantAt, type MemberState } from '../log/mesh-fold.ts'
import type { Head, PublicKeyHex } from '../log/statement.ts'
import { verifyLog } from '../log/verify-log.ts'
import { reachableAddresses } from '../network/addresses.ts'
import type { MeshNode } from './create-node.ts'
import { encodeCursor, eventRecord, isoTime, parseQuery } from './event-view.ts'
import type {
  AppendItem,
  AppendReceipt,
  ChainReport,
  LogEntry,
  LogQuery,
  MemberDetail,
  NodeApi,
  PeerRecord,
  Progress,
  VerifyReport
} from './node-api.ts'
import { diagnoseNode } from './node-doctor.ts'
import { chainHeads, memberDetail, memberStatuses, nodeStatus, viewOf } from './node-status.ts'
import { runApiOf } from './run-service.ts'
import { whyMember } from './why-not-synced.ts'

/** What the service needs of the process that runs the node. */
export interface NodeRuntime {
  readonly node: MeshNode
  readonly socket: string
  readonly sealedBy: string
  shutDown(): Promise<void>
  join(line: string, name: string | null): ReturnType<NodeApi['join']>
}

const PAGE_ROWS = 50
const PROGRESS_EVERY = 5_000

export function createNodeService(runtime: NodeRuntime): NodeApi {
  const memberOf = (text: string): MemberState => {
    const { log, directory } = runtime.node
    return log.view.members.get(directory.resolve(text, log.view.members.keys())) as MemberState
  }
  return {
    ...runApiOf(runtime),
    status: async () => nodeStatus(runtime.node, runtime.socket),
    waitReady: (timeoutMs, signal) => waitReady(runtime, timeoutMs, signal),
    stop: () => runtime.shutDown(),
    doctor: async () => diagnoseNode(runtime.node),
    why: async (member) => {
      const view = viewOf(runtime.node)
      const members = member === null ? [...view.node.log.view.members.values()] : [memberOf(member)]
      return members.map((state) => whyMember(view, state))
    },
    identity: async () => {
      const { key } = runtime.node.init.identity
      const { name } = runtime.node.directory.own.record
      return {
        peerId: peerIdOf(key.publicKey),
        publicKey: key.publicKeyHex,
        fingerprint: fingerprintWords(key.publicKey),
        name,
        sealedBy: runtime.sealedBy
      }
    },
    identityClaim: async () => claimIdentity(runtime.node),
    recoveryOverride: async () => runtime.node.shell.step({ kind: 'override' }),

    members: async () => memberStatuses(viewOf(runtime.node)),
    member: (member) => showMember(runtime.node, memberOf(member)),
    memberRemove: (member) => removeMember(runtime.node, memberOf(member)),
    founderName: (words) => nameFounder(runtime.node, words),
    memberRole: (member, role) => changeRole(runtime.node, memberOf(member), role),

    invites: async () => runtime.node.invites.list(),
    inviteCreate: (options) => {
      const { init, invites, network } = runtime.node
      const psk = init.psk ?? init.mesh.psk
      const fields = {
        ...options,
        meshName: init.mesh.preimage.name,
        doors: reachableAddresses(network.addresses().door)
      }
      return invites.create(psk === undefined ? fields : { ...fields, psk })
    },
    inviteRevoke: (id) => runtime.node.invites.revoke(id),
    join: (line, name) => runtime.join(line, name),

    peers: async () => peerRecords(runtime.node),
    peerConnect: async (addresses) => {
      const { network, directory } = runtime.node
      return directory.ref(await network.connect(addresses))
    },
    peerPing: async (member) => ({ rttMs: await runtime.node.network.ping(memberOf(member).key) }),

    append: (items) => append(runtime.node, items),
    query: (query) => queryLog(runtime.node, query, (member) => memberOf(member).key),
    follow: (query, signal) =>
      follow(runtime.node, query, query.author === undefined ? null : memberOf(query.author).key, signal),
    heads: async () => chainHeads(runtime.node),
    verify: (onProgress, signal, author) =>
      verify(runtime.node, onProgress, signal, author === null ? null : memberOf(author).key),
    exportTo: (path, author, onProgress, signal) =>
      exportTo(runtime.node, path, author === null ? null : memberOf(author).key, onProgress, signal)
  }
}

async function waitReady({ node }: NodeRuntime, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const ready = (): boolean => node.state?.phase === 'ready'
  if (ready()) return
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const timer = setTimeout(
    () => reject(new MeshError('TIMEOUT', 'the node does not accept events yet', { hint: 'pmesh why' })),
    timeoutMs
  )
  const aborted = (): void => reject(new MeshError('CANCELLED', 'the wait was cancelled'))
  const unwatch = node.onState(() => (ready() ? resolve() : undefined))
  signal.addEventListener('abort', aborted)
  try {
    await promise
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', aborted)
    unwatch()
  }
}

async function showMember(node: MeshNode, member: MemberState): Promise<MemberDetail> {
  const detail = memberDetail(viewOf(node), member)
  const { admission } = member
  const row =
    admission === null
      ? undefined
      : node.log.state.rows.get(`${admission.author}/${admission.chain}/${admission.epoch}`)
  const tip = row?.tips[0]
  if (admission === null || row === undefined || tip === undefined) return detail
  const [head] = await node.log.reader.points(row, tip, [admission.seq])
  const stored = head === null || head === undefined ? null : await node.log.reader.bySuffix(suffixOf(head))
  const event = stored?.blocks.rows[admission.seq - stored.head.firstSeq]
  return { ...detail, admittedAt: event === undefined ? null : isoTime(event.timeMs) }
}

/** PEER_UNREACHABLE when no member links to this copy: a claim that nobody hears stops nobody. */
async function claimIdentity(node: MeshNode): Promise<void> {
  const members = [...node.log.view.members.values()].filter((member) => member.removal === null)
  if (members.length > 1 && node.network.peers().length === 0) {
    const hint = 'Stop the other copy: members link to one at a time.'
    throw new MeshError('PEER_UNREACHABLE', 'the claim would reach nobody: no member links to this copy', { hint })
  }
  node.shell.step({ kind: 'claim', timeMs: systemClock.now() })
}

/** The rank and rights of this node's next event. MEMBER_FORBIDDEN when they do not reach over `member`. */
function authorityOver(node: MeshNode, member: MemberState, right: 'admit' | 'remove') {
  const { epoch, tips } = node.log.ownChain()
  const grant = grantAt(node.log.view, { author: node.log.self, chain: 0, epoch, seq: (tips[0]?.lastSeq ?? 0) + 1 })
  const { name } = node.directory.ref(member.key)
  if (grant === null || grant.role !== 'admin' || !hasRight(grant.rights, right)) {
    throw new MeshError('MEMBER_FORBIDDEN', `this node has not the right to ${right} members`)
  }
  if (grant.rank >= member.rank)
    throw new MeshError('MEMBER_FORBIDDEN', `${name} has the same or a higher rank than this node`)
  if (member.removal !== null) throw new MeshError('MEMBER_REMOVED', `${name} was removed already`)
  return grant
}

/** Everything of the member that is stored here stays valid; what it writes behind that does not. */
function cutsOf(node: MeshNode, key: PublicKeyHex): Cut[] {
  const cuts: Cut[] = []
  for (const chain of node.log.chains.values()) {
    const tip = chain.tips[0]
    if (chain.author === key && tip !== undefined)
      cuts.push({ chain: chain.chain, epoch: chain.epoch, seq: tip.lastSeq, id: tip.lastId })
  }
  return cuts
}

/** MEMBER_RECOVERY_INVALID when the words are not those of the mesh's recovery key (PROTOCOL §5 `founder-named`). */
async function nameFounder(node: MeshNode, words: string): Promise<{ id: string }> {
  const { log } = node
  const { recovery } = node.init.mesh.preimage
  const seed = tryParseRecoveryWords(words)
  const key = seed === null ? null : signingKeyFromSeed(seed)
  if (key === null || recovery === null || !equalBytes(key.publicKey, recovery)) {
    const why =
      recovery === null ? 'this mesh has no recovery key' : 'these are not the words of this mesh’s recovery key'
    throw new MeshError('MEMBER_RECOVERY_INVALID', why)
  }
  if (log.view.founder === log.self)
    throw new MeshError('MESH_ALREADY_MEMBER', 'this node is the founder already', { hint: 'pmesh member list' })
  const before = log.state.records.map(({ body }) => (body.type === 'founder-named' ? body.counter : 0))
  const counter = Math.max(0, ...before) + 1
  const cuts = cutsOf(node, log.view.founder)
  const cutsBytes = encodeCuts(cuts)
  const signature = signRefounding(key, { mesh: log.mesh, founder: fromHex(log.self), counter, cuts: cutsBytes })
  const { id } = await log.appendRecord({
    type: 'founder-named',
    founder: log.self,
    counter,
    cuts,
    cutsBytes,
    signature
  })
  return { id: toHex(id) }
}

async function removeMember(node: MeshNode, member: MemberState): Promise<{ id: string }> {
  authorityOver(node, member, 'remove')
  const cuts = cutsOf(node, member.key)
  const { id } = await node.log.appendRecord({ type: 'member-removed', subject: member.key, cuts })
  return { id: toHex(id) }
}

async function changeRole(node: MeshNode, member: MemberState, role: Role): Promise<{ id: string }> {
  const grant = authorityOver(node, member, 'admit')
  let from = { chain: 0, epoch: 1, seq: 1 }
  for (const chain of node.log.chains.values()) {
    if (chain.author === member.key && chain.chain === 0 && chain.epoch >= from.epoch && chain.tips.length > 0) {
      from = { chain: 0, epoch: chain.epoch, seq: (chain.tips[0]?.lastSeq ?? 0) + 1 }
    }
  }
  const version = Math.max(0, ...member.changes.map((change) => change.version)) + 1
  const rights = defaultRights(role) & grant.rights
  const { id } = await node.log.appendRecord({
    type: 'member-changed',
    subject: member.key,
    from,
    role,
    rights,
    version
  })
  return { id: toHex(id) }
}

function peerRecords(node: MeshNode): PeerRecord[] {
  return node.network.peers().map((info) => ({
    ...node.directory.ref(info.peer),
    address: info.address,
    direction: info.direction,
    relayed: info.relayed,
    connectedAt: isoTime(systemClock.now() - info.sinceMs),
    rttMs: info.rttMs ?? null,
    gossip: info.gossip,
    sendBacklogBytes: info.sendBacklogBytes
  }))
}

/** Users append `app-…` events; everything else is the node's own to write. */
async function append(node: MeshNode, items: readonly AppendItem[]): Promise<AppendReceipt[]> {
  const drafts = items.map((item, index) => {
    if (!item.type.startsWith('app-'))
      throw new MeshError(
        'EVENT_TYPE_INVALID',
        `item ${index}: ${JSON.stringify(item.type.slice(0, 80))} is not a type of yours`
      )
    const scope = item.scope === undefined ? null : tryParseHex(item.scope, 16)
    if (item.scope !== undefined && scope === null)
      throw new MeshError('EVENT_INVALID', `item ${index}: a scope is 32 characters of hex`)
    if (!item.json.isWellFormed())
      throw new MeshError('EVENT_INVALID', `item ${index}: the text holds a lone surrogate`)
    return { type: item.type, payload: utf8(item.json), ...(scope === null ? {} : { scope }) }
  })
  const events = await node.log.append(drafts)
  return events.map(({ id, epoch, seq }) => ({ id: toHex(id), epoch, seq }))
}

/** A read that meets a damaged place fails, and the log is told: it sets the chain back so that members give the rest again. */
async function healing<Result>(node: MeshNode, read: () => Promise<Result>): Promise<Result> {
  try {
    return await read()
  } catch (error) {
    node.log.noteDamage(error)
    throw error
  }
}

async function queryLog(node: MeshNode, query: LogQuery, resolve: (member: string) => PublicKeyHex) {
  const { log, directory } = node
  const page = await healing(node, () =>
    queryPage(
      { store: log.store, reader: log.reader, state: log.state },
      parseQuery(query, resolve),
      query.limit ?? PAGE_ROWS
    )
  )
  return {
    items: page.events.map((event) => eventRecord(event, directory)),
    next: page.next === null ? null : encodeCursor(page.next)
  }
}

async function* follow(
  node: MeshNode,
  query: { readonly cursor: string | null; readonly type?: string | undefined },
  author: PublicKeyHex | null,
  signal: AbortSignal
): AsyncGenerator<LogEntry> {
  const from = query.cursor ?? (await cursorOfNow(node.log))
  for await (const { cursor, event } of arrivals(node.log, from, signal)) {
    if (query.type !== undefined && event.type !== query.type) continue
    if (author !== null && event.author !== author) continue
    yield { cursor, event: eventRecord(event, node.directory) }
  }
}

async function verify(
  node: MeshNode,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
  author: PublicKeyHex | null
): Promise<VerifyReport> {
  const startedAt = performance.now()
  let told = 0
  const progress = (done: number, total: number): void => {
    if (done - told < PROGRESS_EVERY && done !== total) return
    told = done
    onProgress({ done, total })
  }
  const reports = await healing(node, () => verifyLog(node.log.state, node.log.reader, { author, signal, progress }))
  const chains: ChainReport[] = reports.map((report) => ({
    author: node.directory.ref(report.author),
    events: report.events,
    chains: report.chains,
    ok: report.fault === null,
    sealsValid: report.sealsValid,
    erased: report.erased,
    pending: 0,
    code: report.fault?.code ?? null,
    message: report.fault?.message ?? null
  }))
  const events = chains.reduce((sum, chain) => sum + chain.events, 0)
  // A member that has written nothing yet reads "unknown" and is no failure, unless it alone was asked for (CHAIN-4).
  const failed = chains.some((chain) => !chain.ok && chain.code !== 'LOG_UNKNOWN')
  const ok = !failed && chains.some((chain) => chain.ok)
  return { events, ok, elapsedMs: Math.round(performance.now() - startedAt), chains }
}

/** Heads behind the cut of a removed author prove nothing that is missing here. */
function witnessInsideCut({ witness, cut, tips }: ChainState): Head | null {
  if (witness === null || cut === null || witness.lastSeq <= cut.seq) return witness
  return tips[0] ?? null
}

/** The file is the caller's: made new, readable by its owner alone. */
async function exportTo(
  node: MeshNode,
  path: string,
  author: PublicKeyHex | null,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal
): Promise<{ events: number; bytes: number }> {
  const { log } = node
  const file = await open(path, 'wx', 0o600).catch((cause: unknown) => {
    throw new MeshError('USAGE', `cannot write the export: ${path}`, {
      hint: 'Choose a new file in a folder that you may write.',
      cause
    })
  })
  const total = [...log.state.rows.values()].reduce((sum, row) => sum + row.events, 0)
  try {
    const source = {
      mesh: log.mesh,
      preimage: node.init.mesh.preimage,
      appends: (key?: PublicKeyHex) => log.reader.all(key === undefined ? null : fromHex(key)),
      forks: () => [...log.chains.values()].map((chain) => chain.fork).filter((fork) => fork !== null),
      witnesses: () => [...log.chains.values()].map(witnessInsideCut).filter((head) => head !== null)
    }
    const sink = async (chunk: Buffer): Promise<void> => {
      await file.write(chunk)
    }
    const { events, bytes } = await healing(node, () =>
      exportLog(source, sink, {
        author,
        signal,
        onProgress: (done) => onProgress({ done, total })
      })
    )
    await file.sync()
    return { events, bytes }
  } catch (error) {
    if (isMeshError(error)) throw error
    throw new MeshError('STORE_FAILED', `cannot write the export: ${path}`, { cause: error, hint: 'Is the disk full?' })
  } finally {
    await file.close()
  }
}
