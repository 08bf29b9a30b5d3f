// Beacons (PROTOCOL §4): the own head told at most every 5 s on change and regularly else; what the others' beacons say of their chains.

import { equalBytes } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { type Beacon, tryDecodeBeacon } from '../log/beacon.ts'
import { type ChainKey, type Head, type PublicKeyHex, parseChainKey } from '../log/statement.ts'
import { hasTip, knownHead, placeOf, sameLink, storedSeq } from './chain-table.ts'
import type { Core, PeerRecord } from './core.ts'

interface BeaconRecord {
  readonly beacon: Beacon
  /** The beacon's head is not on the stored line, or lies before an earlier beacon. */
  contradicted: boolean
  /** Highest head of this chain key that a beacon and the stored line agreed on. */
  confirmed: Head | null
}

const HURRY_MS = 30_000

export interface BeaconHooks {
  /** A beacon of the own key. */
  own(beacon: Beacon): void
}

export class Beacons {
  readonly #core: Core
  readonly #hooks: BeaconHooks
  readonly #last = new Map<PublicKeyHex, BeaconRecord>()
  #ownHead: Head | null = null
  #toldHead: Head | null = null
  #bytes: Uint8Array | null = null
  #toldMs = Number.NEGATIVE_INFINITY
  #hurryUntilMs = Number.NEGATIVE_INFINITY

  constructor(core: Core, hooks: BeaconHooks) {
    this.#core = core
    this.#hooks = hooks
  }

  /** The own durable head moved. */
  ownHead(head: Head): void {
    this.#ownHead = head
    this.#core.wake('beacon', Math.max(this.#core.nowMs, this.#toldMs + LIMITS.beaconIntervalMsMin))
  }

  /** Tells often for a while, so that two live copies of one key find out. */
  hurry(): void {
    this.#hurryUntilMs = this.#core.nowMs + HURRY_MS
    this.#core.wake('beacon', Math.max(this.#core.nowMs, this.#toldMs + LIMITS.beaconIntervalMsMin))
  }

  peerUp(peer: PeerRecord): void {
    this.writable(peer)
  }

  writable(peer: PeerRecord): void {
    if (!peer.writable || this.#bytes === null || !peer.beaconDue) return
    peer.beaconDue = false
    this.#core.send(peer, { kind: 'beacon', bytes: this.#bytes })
  }

  tick(): void {
    const { nowMs, members } = this.#core
    const head = this.#ownHead
    if (head === null) return
    const hurries = nowMs < this.#hurryUntilMs
    const quietMs = hurries
      ? LIMITS.beaconIntervalMsMin
      : Math.max(LIMITS.beaconQuietMs, members.size * LIMITS.beaconQuietPerMemberMs)
    const changed = this.#toldHead === null || !sameLink(this.#toldHead.link, head.link)
    const due = this.#toldMs + (changed ? LIMITS.beaconIntervalMsMin : quietMs)
    if (due > nowMs) return this.#core.wake('beacon', due)
    this.#toldMs = nowMs
    this.#toldHead = head
    this.#bytes = this.#core.options.signBeacon(head)
    this.#core.emit({ kind: 'publish', what: 'beacon', bytes: this.#bytes, head })
    for (const peer of this.#core.peers.values()) {
      peer.beaconDue = true
      this.writable(peer)
    }
    this.#core.wake('beacon', nowMs + quietMs)
  }

  /** From a connection: not checked yet. */
  receiveBytes(peer: PeerRecord, bytes: Uint8Array): void {
    const beacon = tryDecodeBeacon(bytes)
    if (beacon === null || !equalBytes(beacon.head.mesh, this.#core.options.mesh))
      return this.#core.fault(peer, 'beacon-invalid')
    this.receive(beacon)
  }

  receive(beacon: Beacon): void {
    const { head } = beacon
    const { author } = parseChainKey(head.key)
    if (!this.#core.members.has(author)) return
    if (this.#core.isOwn(author)) this.#hooks.own(beacon)
    const before = this.#last.get(author)
    if (before !== undefined && before.beacon.timeMs >= beacon.timeMs) return
    const record: BeaconRecord = { beacon, contradicted: false, confirmed: before?.confirmed ?? null }
    this.#last.set(author, record)
    const chain = this.#core.chains.get(head.key)
    if (before !== undefined && before.beacon.head.key === head.key && before.beacon.head.lastSeq > head.lastSeq)
      record.contradicted = true
    if (head.lastSeq > (knownHead(chain?.state ?? null)?.lastSeq ?? 0)) {
      this.#core.emit({ kind: 'witness', ticket: this.#core.ticket({}), heads: [head] })
    } else if (!hasTip(chain?.state ?? null, placeOf(head)) && head.lastSeq <= storedSeq(chain)) this.#compare(record)
    this.chainChanged(head.key)
  }

  /** A stored line reached what its author's last beacon said. */
  chainChanged(key: ChainKey): void {
    const state = this.#core.chains.get(key)?.state ?? null
    const record = this.#last.get(parseChainKey(key).author)
    if (record === undefined || state === null || record.beacon.head.key !== key) return
    if (hasTip(state, placeOf(record.beacon.head))) record.confirmed = record.beacon.head
  }

  of(author: PublicKeyHex): BeaconRecord | undefined {
    return this.#last.get(author)
  }

  #compare(record: BeaconRecord): void {
    const { head } = record.beacon
    const tip = this.#core.chains.get(head.key)?.state?.tips[0]
    if (tip === undefined) return
    const ticket = this.#core.ticket({
      points: ([stored]) => {
        if (stored == null) return
        if (!sameLink(stored.link, head.link)) record.contradicted = true
        else if (!record.contradicted) record.confirmed = head
      }
    })
    this.#core.emit({ kind: 'read-points', ticket, key: head.key, tip: placeOf(tip), seqs: [head.lastSeq] })
  }
}
