// What a node tells about itself and its members: read from the log's view, the replication machine and the network, decided by none of it here.

import { fromHex, toHex } from '../base/bytes.ts'
import { systemClock } from '../base/clock.ts'
import { LIMITS } from '../base/limits.ts'
import { VERSION } from '../config/version.ts'
import { RIGHTS, type Right } from '../identity/certificate.ts'
import { fingerprintWords, peerIdOf } from '../identity/peer-id.ts'
import { currentGrant as grantNow } from '../log/current-grant.ts'
import type { MemberState } from '../log/mesh-fold.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import type { PeerInfo } from '../network/network-contract.ts'
import type { ChainStatus, ReplicationStatus } from '../replication/contract.ts'
import type { MeshNode } from './create-node.ts'
import { isoTime } from './event-view.ts'
import type { ChainHead, MemberDetail, MemberStatus, NodeStatus } from './node-api.ts'

/** Worst first: what a member's chains come to together. */
const SEVERITY: readonly ChainStatus['state'][] = ['contradicted', 'forked', 'behind', 'unconfirmed', 'complete']

export interface NodeView {
  readonly node: MeshNode
  readonly replication: ReplicationStatus
  readonly peers: ReadonlyMap<PublicKeyHex, PeerInfo>
}

export function viewOf(node: MeshNode): NodeView {
  const peers = new Map(node.network.peers().map((info) => [info.peer as PublicKeyHex, info]))
  return { node, replication: node.shell.replicator.status(), peers }
}

/** Role and rights that hold for the member's next event. */
export function currentGrant(node: MeshNode, member: MemberState) {
  return grantNow(node.log, member.key) ?? { rank: member.rank, role: member.role, rights: member.rights }
}

export function memberStatus(view: NodeView, member: MemberState): MemberStatus {
  const { node, replication, peers } = view
  const { log, directory } = node
  const self = member.key === log.self
  const info = peers.get(member.key)
  const chains = replication.chains.filter((chain) => chain.key.startsWith(member.key))
  const behind = chains.reduce((sum, chain) => sum + Math.max(0, chain.knownSeq - chain.storedSeq), 0)
  const events = [...log.state.rows.values()].reduce(
    (sum, row) => sum + (row.author === member.key ? row.events : 0),
    0
  )
  const seenMs = self || info !== undefined ? systemClock.now() : directory.lastSeenMs(member.key)
  const worst = SEVERITY.find((state) => chains.some((chain) => chain.state === state))
  return {
    ...directory.ref(member.key),
    self,
    role: currentGrant(node, member).role,
    removed: member.removal !== null,
    connected: info !== undefined,
    address: info?.address ?? '',
    relayed: info?.relayed ?? false,
    rttMs: info?.rttMs ?? null,
    lastSeenAt: seenMs === null ? null : isoTime(seenMs),
    events,
    behind,
    chain: worst ?? 'unknown'
  }
}

/** Self first, then by name. */
export function memberStatuses(view: NodeView): MemberStatus[] {
  const list = [...view.node.log.view.members.values()].map((member) => memberStatus(view, member))
  return list.sort(
    (a, b) => Number(b.self) - Number(a.self) || Number(a.removed) - Number(b.removed) || a.name.localeCompare(b.name)
  )
}

export function memberDetail(view: NodeView, member: MemberState): MemberDetail {
  const { node } = view
  const { log, directory } = node
  const grant = currentGrant(node, member)
  const rights = (Object.keys(RIGHTS) as Right[]).filter((right) => (grant.rights & RIGHTS[right]) !== 0)
  const farMs = log.farFuture.get(member.key)
  const flags = [...log.chains.values()].some((chain) => chain.author === member.key && chain.fork !== null)
    ? ['forked']
    : []
  if (farMs !== undefined) flags.push(`clock ${Math.round(farMs / 1000)} s ahead`)
  const epochs = [...log.chains.values()].filter((chain) => chain.author === member.key && chain.tips.length > 0).length
  if (epochs > 3) flags.push(`${epochs} epochs`)
  return {
    ...memberStatus(view, member),
    fingerprint: fingerprintWords(fromHex(member.key)),
    rank: grant.rank,
    rights,
    admittedBy: member.admission === null ? null : directory.ref(member.admission.author),
    admittedAt: null,
    removedBy: member.removal === null ? null : directory.ref(member.removal.by),
    addresses: [...(directory.get(member.key)?.main ?? [])],
    flags
  }
}

function nodeState(node: MeshNode): Pick<NodeStatus, 'state' | 'stateDetail'> {
  const self = node.log.view.members.get(node.log.self)
  if (self?.removal) return { state: 'removed', stateDetail: 'this node was removed from the mesh' }
  const state = node.state
  if (state === null) return { state: 'starting', stateDetail: '' }
  if (state.phase === 'ready') return { state: 'ready', stateDetail: '' }
  if (state.phase === 'in-use-twice')
    return { state: 'identity-in-use-twice', stateDetail: 'another running node has this identity' }
  if (state.waitsFor === 'peers' && [...node.gate.refusals.values()].includes('IDENTITY_IN_USE_TWICE'))
    return { state: 'recovering', stateDetail: 'a member is linked to another running node with this identity' }
  const waits: Record<string, string> = {
    none: '',
    peers: 'waits for a member to be reachable',
    answers: 'waits for the connected members to answer',
    'own-log': 'fetches its own log from the others',
    admission: 'waits for its own admission to arrive',
    time: 'waits a moment for members',
    claim: 'waits for the identity to be claimed'
  }
  return { state: 'recovering', stateDetail: waits[state.waitsFor] ?? '' }
}

export async function nodeStatus(node: MeshNode, socket: string): Promise<NodeStatus> {
  const { log, directory, init, network } = node
  const view = viewOf(node)
  const members = memberStatuses(view)
  const { main, door } = network.addresses()
  const events = [...log.state.rows.values()].reduce((sum, row) => sum + row.events, 0)
  const behind = members.reduce((sum, member) => sum + member.behind, 0)
  const self = log.view.members.get(log.self)
  return {
    version: VERSION,
    ...directory.ref(log.self),
    fingerprint: fingerprintWords(init.identity.key.publicKey),
    ...nodeState(node),
    startedAt: isoTime(node.startedMs),
    uptimeMs: systemClock.now() - node.startedMs,
    home: init.paths.home,
    socket,
    mesh: {
      id: toHex(log.mesh),
      name: init.mesh.preimage.name,
      members: members.filter((member) => !member.removed).length,
      role: self === undefined ? 'joining' : currentGrant(node, self).role,
      founder: peerIdOf(log.view.founder)
    },
    listening: { main, door, mdns: init.config.network.mdns },
    log: {
      events,
      openedInMs: Math.round(node.openedInMs),
      synced: behind === 0 && log.failure === null && (self?.removal ?? null) === null,
      behind
    },
    members,
    health: healthOf(view, members),
    ...(node.runs ? { run: await runStatus(node) } : {})
  }
}

async function runStatus({ run }: MeshNode): Promise<NonNullable<NodeStatus['run']>> {
  const waiting = (await run.engine.approvals(false)).filter(({ mayVote }) => mayVote)
  const { script, wasm, command, line } = run.host.report
  const boxed = script.available && wasm.available && command.available
  return { running: run.engine.running, waitingApprovals: waiting.length, sandbox: line, boxed }
}

function healthOf(view: NodeView, members: readonly MemberStatus[]): NodeStatus['health'] {
  const { log, directory, gate } = view.node
  const health: NodeStatus['health'][number][] = []
  if (log.failure !== null)
    health.push({ level: 'error', text: `the store cannot write (${log.failure})`, hint: `pmesh help ${log.failure}` })
  if (log.damaged.length > 0)
    health.push({
      level: 'warn',
      text: `${log.damaged.length} chains lost events to a damaged store and heal from members`,
      hint: 'pmesh doctor'
    })
  for (const member of members) {
    if (member.chain === 'forked')
      health.push({
        level: 'warn',
        text: `${member.name} wrote two histories; both are kept`,
        hint: `pmesh why ${member.name}`
      })
    if (member.chain === 'contradicted')
      health.push({
        level: 'error',
        text: `${member.name}’s log here is contradicted by a signed head`,
        hint: `pmesh why ${member.name}`
      })
  }
  if (view.node.shell.formatUnknown)
    health.push({
      level: 'warn',
      text: 'members offer events in a format that this version does not know',
      hint: 'upgrade pmesh on this machine'
    })
  for (const [key, code] of gate.refusals) {
    const said = code === 'MEMBER_REMOVED' ? 'says that this node was removed' : `does not let this node in (${code})`
    health.push({ level: 'error', text: `${directory.ref(key).name} ${said}`, hint: `pmesh help ${code}` })
  }
  for (const [key, farMs] of log.farFuture) {
    const text = `${directory.ref(key).name}’s clock is ${Math.round(farMs / 1000)} s ahead (limit ${LIMITS.clockSkewMsMax / 1000} s)`
    health.push({ level: 'warn', text, hint: 'pmesh doctor' })
  }
  return health.sort((a, b) => Number(b.level === 'error') - Number(a.level === 'error'))
}

export function chainHeads(node: MeshNode): ChainHead[] {
  const status = new Map(node.shell.replicator.status().chains.map((chain) => [chain.key, chain.state]))
  const heads: ChainHead[] = []
  for (const chain of [...node.log.chains.values()].sort((a, b) => (a.key < b.key ? -1 : 1))) {
    for (const tip of chain.tips) {
      heads.push({
        author: node.directory.ref(chain.author),
        chain: chain.chain,
        epoch: chain.epoch,
        seq: tip.lastSeq,
        id: toHex(tip.lastId),
        link: toHex(tip.link),
        seal: toHex(tip.seal),
        witnessedSeq: chain.witness?.lastSeq ?? tip.lastSeq,
        state: status.get(chain.key) ?? 'unconfirmed'
      })
    }
  }
  return heads
}
