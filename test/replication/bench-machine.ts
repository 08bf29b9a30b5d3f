// A replication machine on a bench: inputs go in by hand, effects are looked at. Heads and seals are real, frames are opaque bytes.

import { type SigningKey, signingKeyFromSeed } from '../../src/identity/ed25519.ts'
import { type Instance, makeInstance, signBeacon } from '../../src/log/beacon.ts'
import type { ChainState } from '../../src/log/chain-state.ts'
import { sha256 } from '../../src/log/hash.ts'
import { chainKeyOf, type Head, parseChainKey, sealStatement } from '../../src/log/statement.ts'
import type { Effect, Input, MemberView, SyncMessage } from '../../src/replication/contract.ts'
import { Replicator } from '../../src/replication/replicator.ts'

export const MESH = sha256(Buffer.from('bench'))

export function keyOf(name: string): SigningKey {
  return signingKeyFromSeed(sha256(Buffer.from(name)))
}

/** A line of appends of one event each; `salt` makes another line. */
export function lineOf(key: SigningKey, length: number, salt = '', after: Head | null = null): Head[] {
  const heads: Head[] = []
  let before = after
  for (let index = 0; index < length; index++) {
    const firstSeq: number = (before?.lastSeq ?? 0) + 1
    const lastId = sha256(Buffer.from(`${salt} ${firstSeq}`))
    const prev: Uint8Array = before?.link ?? new Uint8Array(32)
    before = sealStatement(
      { mesh: MESH, author: key.publicKey, chain: 0, epoch: 1, firstSeq, count: 1, prev, lastId },
      key
    )
    heads.push(before)
  }
  return heads
}

export function stateOf(key: SigningKey, tips: readonly Head[], more: Partial<ChainState> = {}): ChainState {
  const name = chainKeyOf(key.publicKey, 0, 1)
  const plain = { fork: null, wanted: [], closed: false, cut: null, witness: tips[0] ?? null, upgradeNeeded: false }
  return { key: name, ...parseChainKey(name), tips, ...plain, ...more }
}

export const OWN = keyOf('own')

export class Bench {
  readonly machine: Replicator
  readonly instance: Instance
  nowMs = 1000

  constructor(startMs = 1_700_000_000_000) {
    let draws = 0
    this.instance = makeInstance(startMs, new Uint8Array(8).fill(5))
    this.machine = new Replicator({
      ownKey: OWN.publicKeyHex,
      mesh: MESH,
      instance: this.instance,
      random: { bytes: (length) => new Uint8Array(length), fraction: () => (draws = (draws + 0.37) % 1) },
      signBeacon: (head) => signBeacon({ head, timeMs: startMs + this.nowMs, instance: this.instance }, OWN)
    })
  }

  step(input: Input): readonly Effect[] {
    return this.machine.step(this.nowMs, input)
  }

  /** Fires every timer id at a later time. */
  later(ms: number): Effect[] {
    this.nowMs += ms
    const ids = ['frontier', 'fetch', 'gap', 'beacon', 'branches', 'recovery'] as const
    return ids.flatMap((id) => [...this.step({ kind: 'timer', id })])
  }

  start(others: readonly SigningKey[], more: Partial<Input & { kind: 'start' }> = {}): readonly Effect[] {
    const members: MemberView[] = [OWN, ...others].map((key, index) => ({
      key: key.publicKeyHex,
      removed: false,
      admits: index === 0
    }))
    return this.step({
      kind: 'start',
      chains: [],
      members,
      selfAdmitted: true,
      observer: false,
      markerFits: true,
      markerHead: null,
      ...more
    })
  }

  up(peer: string, key: SigningKey): readonly Effect[] {
    return this.step({
      kind: 'peer-up',
      peer,
      key: key.publicKeyHex,
      instance: makeInstance(1, new Uint8Array(8)),
      timeMs: 1
    })
  }

  message(peer: string, message: SyncMessage): readonly Effect[] {
    return this.step({ kind: 'message', peer, message })
  }

  /** A whole frontier that shows one line. */
  shows(peer: string, head: Head, round = 1): readonly Effect[] {
    const claims = [
      { key: head.key, tips: [{ seq: head.lastSeq, link: head.link.subarray(0, 16) }], head, forked: false }
    ]
    const effects = this.message(peer, { kind: 'frontier', round, last: true, claims })
    const check = find(effects, 'witness')
    return check === undefined
      ? effects
      : [...effects, ...this.step({ kind: 'witnessed', ticket: check.ticket, valid: [true] })]
  }
}

export function find<Kind extends Effect['kind']>(
  effects: readonly Effect[],
  kind: Kind
): (Effect & { kind: Kind }) | undefined {
  return effects.find((effect): effect is Effect & { kind: Kind } => effect.kind === kind)
}

export function sent<Kind extends SyncMessage['kind']>(
  effects: readonly Effect[],
  kind: Kind,
  peer?: string
): (SyncMessage & { kind: Kind })[] {
  const messages: (SyncMessage & { kind: Kind })[] = []
  for (const effect of effects) {
    if (effect.kind !== 'send' || effect.message.kind !== kind || (peer !== undefined && effect.peer !== peer)) continue
    messages.push(effect.message as SyncMessage & { kind: Kind })
  }
  return messages
}
