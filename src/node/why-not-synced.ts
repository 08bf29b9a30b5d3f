// `pmesh why`: the questions that must all be answered with yes for a member's log to be here, in their order.

import { toHex } from '../base/bytes.ts'
import type { MemberState } from '../log/mesh-fold.ts'
import { isoTime } from './event-view.ts'
import type { MemberRef, WhyStep } from './node-api.ts'
import { countOf } from './node-doctor.ts'
import { memberStatus, type NodeView } from './node-status.ts'

const step = (question: string, ok: boolean | null, answer: string, hint = ''): WhyStep => ({
  question,
  ok,
  answer,
  hint: ok === true ? '' : hint
})

export function whyMember(view: NodeView, member: MemberState): { member: MemberRef; steps: WhyStep[] } {
  const { node } = view
  const ref = node.directory.ref(member.key)
  if (member.key === node.log.self) return { member: ref, steps: whySelf(view) }
  const steps = [
    admitted(view, member),
    connected(view, member),
    frontier(view, member),
    gaps(view, member),
    chainState(view, member),
    lastError(view, member)
  ]
  return { member: ref, steps }
}

function whySelf(view: NodeView): WhyStep[] {
  const { node, replication } = view
  const { phase, waitsFor, missing, ownHeadConfirmed } = replication.state
  const writes = step(
    'may this node append?',
    phase === 'ready',
    phase === 'ready' ? 'yes' : `${phase}: waits for ${waitsFor}`,
    phase === 'in-use-twice' ? 'pmesh identity claim' : 'pmesh node recover'
  )
  const whole = step(
    'is its own log whole?',
    missing === null,
    missing === null ? 'yes' : `a signed head shows event ${missing.lastSeq} of epoch ${missing.epoch}`,
    'connect a member that holds it: pmesh peer connect'
  )
  const others = [...node.log.view.members.values()].filter((member) => member.removal === null).length > 1
  const confirmed = step(
    'has a member confirmed its head?',
    others ? ownHeadConfirmed : true,
    others ? (ownHeadConfirmed ? 'yes' : 'not yet') : 'this is the only member',
    'pmesh peer list'
  )
  const store = step('can the store write?', node.log.failure === null, node.log.failure ?? 'yes', 'pmesh doctor')
  return [writes, whole, confirmed, store]
}

function admitted({ node }: NodeView, member: MemberState): WhyStep {
  if (member.removal === null) return step('admitted?', true, 'yes')
  return step(
    'admitted?',
    false,
    `removed by ${node.directory.ref(member.removal.by).name}`,
    'a removed key never returns; invite a new identity: pmesh invite create'
  )
}

function connected({ node, peers }: NodeView, member: MemberState): WhyStep {
  const info = peers.get(member.key)
  if (info !== undefined) return step('connected?', true, `${info.direction} ${info.address}`)
  const refusal = node.gate.refusals.get(member.key)
  if (refusal !== undefined)
    return step('connected?', false, `it does not let this node in: ${refusal}`, `pmesh help ${refusal}`)
  const { addresses, attempts, nextDialInMs, lastDialError } = node.network.diagnose(member.key)
  if (addresses.length === 0)
    return step('connected?', false, 'no address of it is known', 'pmesh peer connect ADDRESS')
  const next = nextDialInMs === undefined ? '' : `, next in ${Math.ceil(nextDialInMs / 1000)} s`
  return step(
    'connected?',
    false,
    `${countOf(attempts, 'dial')} of ${countOf(addresses.length, 'address', 'addresses')} failed${next}${lastDialError === undefined ? '' : `: ${lastDialError}`}`,
    'is its node running and reachable? pmesh peer connect ADDRESS'
  )
}

function frontier({ replication }: NodeView, member: MemberState): WhyStep {
  const peer = replication.peers.find((status) => status.key === member.key)
  if (peer === undefined) return step('frontiers exchanged?', null, 'not connected')
  if (!peer.answered) return step('frontiers exchanged?', false, 'it has not answered yet')
  return step(
    'frontiers exchanged?',
    true,
    peer.inSync ? 'both hold the same' : `they differ; ${countOf(peer.fetches, 'fetch', 'fetches')} running`
  )
}

function gaps(view: NodeView, member: MemberState): WhyStep {
  const { behind, events } = memberStatus(view, member)
  const sources = view.replication.chains.filter((chain) => chain.key.startsWith(member.key) && chain.source !== null)
  if (behind === 0)
    return step(
      'all of its events here?',
      events > 0 ? true : null,
      events > 0 ? `${countOf(events, 'event')}, none known to be missing` : 'none yet',
      'wait for its first event'
    )
  return step(
    'all of its events here?',
    false,
    `${countOf(behind, 'event')} behind${sources.length > 0 ? ', being fetched' : ', no connected member offers them'}`,
    'connect a member that holds them'
  )
}

function chainState({ node, replication }: NodeView, member: MemberState): WhyStep {
  const states = replication.chains.filter((chain) => chain.key.startsWith(member.key)).map((chain) => chain.state)
  if (states.includes('contradicted'))
    return step('one history?', false, 'a signed head contradicts what is stored', 'pmesh log verify')
  const forks = [...node.log.chains.values()].filter((chain) => chain.author === member.key && chain.fork !== null)
  if (forks.length === 0) return step('one history?', true, 'yes')
  const places = forks.map(
    (chain) =>
      `epoch ${chain.epoch} at event ${chain.fork?.a.firstSeq} (${toHex(chain.fork?.a.link ?? new Uint8Array(0)).slice(0, 8)} and ${toHex(chain.fork?.b.link ?? new Uint8Array(0)).slice(0, 8)})`
  )
  return step(
    'one history?',
    false,
    `it signed two: ${places.join(', ')}; both are kept`,
    'was its node restored from a backup or copied? pmesh log export'
  )
}

function lastError({ node, replication }: NodeView, member: MemberState): WhyStep {
  const peer = replication.peers.find((status) => status.key === member.key)
  const { penalty, barred, lastDialError } = node.network.diagnose(member.key)
  if (barred)
    return step('last error?', false, `kept out for a while: ${penalty} penalty points`, 'pmesh.log tells what it sent')
  if (peer?.lastFault) return step('last error?', false, peer.lastFault, 'pmesh.log tells more')
  if (lastDialError !== undefined) return step('last error?', false, lastDialError, 'pmesh peer connect ADDRESS')
  const seen = node.directory.lastSeenMs(member.key)
  return step('last error?', true, seen === null ? 'none' : `none; last seen ${isoTime(seen)}`)
}
