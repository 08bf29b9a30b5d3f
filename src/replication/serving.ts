// Range sync, the giving side (PROTOCOL §6): reads only as far as the peer's credit goes, one read at a time per connection, its requests
// in turn. A slow reader holds nothing here but its requests.

import { LIMITS } from '../base/limits.ts'
import type { ChainKey, Head } from '../log/statement.ts'
import { placeOf, sameLink } from './chain-table.ts'
import type { EndReason, Place, RangeResult, SyncMessage } from './contract.ts'
import type { Core, PeerRecord } from './core.ts'

interface Serve {
  readonly id: number
  readonly key: ChainKey
  readonly tip: Place
  after: Place | null
  cancelled: boolean
}

interface PeerServes {
  readonly queue: Serve[]
  reading: Serve | null
  probes: number
}

export class Serving {
  readonly #core: Core
  readonly #peers = new Map<PeerRecord, PeerServes>()

  constructor(core: Core) {
    this.#core = core
  }

  /** Requests that wait or are read. */
  get open(): number {
    let count = 0
    for (const serves of this.#peers.values())
      count += serves.queue.length + serves.probes + (serves.reading === null ? 0 : 1)
    return count
  }

  peerUp(peer: PeerRecord): void {
    this.#peers.set(peer, { queue: [], reading: null, probes: 0 })
  }

  peerDown(peer: PeerRecord): void {
    this.#peers.delete(peer)
  }

  fetch(peer: PeerRecord, message: SyncMessage & { readonly kind: 'fetch' }): void {
    const serves = this.#peers.get(peer)
    if (serves === undefined) return
    const refused = this.#refusal(serves, message.id, message.key)
    if (refused !== null) return this.#core.send(peer, { kind: 'end', id: message.id, reason: refused })
    const { id, key, tip, after } = message
    serves.queue.push({ id, key, tip, after, cancelled: false })
    this.#next(peer, serves)
  }

  #refusal(serves: PeerServes, id: number, key: ChainKey): EndReason | null {
    if (serves.queue.length >= LIMITS.servesPerPeerMax) return 'busy'
    if (serves.queue.some((serve) => serve.id === id) || serves.reading?.id === id) return 'busy'
    return (this.#core.chains.get(key)?.state?.tips.length ?? 0) === 0 ? 'unknown' : null
  }

  cancel(peer: PeerRecord, id: number): void {
    const serves = this.#peers.get(peer)
    if (serves === undefined) return
    const index = serves.queue.findIndex((serve) => serve.id === id)
    if (index >= 0) serves.queue.splice(index, 1)
    if (serves.reading?.id === id) serves.reading.cancelled = true
  }

  credit(peer: PeerRecord, bytes: number): void {
    const max = LIMITS.framesOpenMax * LIMITS.frameBytesMax
    if (bytes < 1 || peer.sendCredit + bytes > max) return this.#core.fault(peer, 'flood')
    peer.sendCredit += bytes
    this.resume(peer)
  }

  resume(peer: PeerRecord): void {
    const serves = this.#peers.get(peer)
    if (serves !== undefined) this.#next(peer, serves)
  }

  probe(peer: PeerRecord, message: SyncMessage & { readonly kind: 'probe' }): void {
    const serves = this.#peers.get(peer)
    if (serves === undefined || serves.probes >= LIMITS.servesPerPeerMax) return
    const tip = this.#resolve(message.key, message.tip)
    const { id, key, seqs } = message
    if (tip === null) return this.#core.send(peer, { kind: 'points', id, heads: [] })
    serves.probes++
    const ticket = this.#core.ticket({
      points: (heads) => {
        serves.probes--
        this.#core.send(peer, { kind: 'points', id, heads: heads.filter((head): head is Head => head !== null) })
      }
    })
    this.#core.emit({ kind: 'read-points', ticket, key, tip, seqs })
  }

  /** The asked tip, or the one line's end when it grew since; a line of a forked chain keeps the name that it was asked by. */
  #resolve(key: ChainKey, tip: Place): Place | null {
    const tips = this.#core.chains.get(key)?.state?.tips ?? []
    const exact = tips.find((head) => head.lastSeq === tip.seq && sameLink(head.link, tip.link))
    if (exact !== undefined) return placeOf(exact)
    const [first] = tips
    if (first === undefined) return null
    return tips.length === 1 && first.lastSeq > tip.seq && this.#core.chains.get(key)?.state?.fork === null
      ? placeOf(first)
      : tip
  }

  #next(peer: PeerRecord, serves: PeerServes): void {
    if (serves.reading !== null || peer.gone || !peer.writable) return
    if (peer.sendCredit < Math.min(LIMITS.frameBytesMax, LIMITS.framesOpenMax * LIMITS.frameBytesMax)) return
    const serve = serves.queue.shift()
    if (serve === undefined) return
    const tip = this.#resolve(serve.key, serve.tip)
    if (tip === null) {
      this.#core.send(peer, { kind: 'end', id: serve.id, reason: 'unknown' })
      return this.#next(peer, serves)
    }
    serves.reading = serve
    const ticket = this.#core.ticket({ range: (result) => this.#read(peer, serves, serve, result) })
    const { key, after } = serve
    this.#core.emit({ kind: 'read-range', ticket, key, after, tip, bytesMax: LIMITS.frameBytesMax })
  }

  #read(
    peer: PeerRecord,
    serves: PeerServes,
    serve: Serve,
    result: RangeResult | 'diverged' | 'unknown' | 'failed'
  ): void {
    if (!this.#peers.has(peer)) return
    serves.reading = null
    if (serve.cancelled) return this.#next(peer, serves)
    if (typeof result === 'string') {
      this.#core.send(peer, { kind: 'end', id: serve.id, reason: result === 'failed' ? 'stopped' : result })
      return this.#next(peer, serves)
    }
    if (result.bytes.length > 0) {
      peer.sendCredit -= result.bytes.length
      this.#core.send(peer, { kind: 'frame', id: serve.id, bytes: result.bytes })
    }
    serve.after = result.last
    if (result.more && result.bytes.length > 0) serves.queue.push(serve)
    else this.#core.send(peer, { kind: 'end', id: serve.id, reason: 'done' })
    this.#next(peer, serves)
  }
}
