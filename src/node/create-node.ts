// The composition root: one node, top to bottom. Every part is made here with what it needs; `start` brings them up in this order and `stop`
// takes them down in the reverse, by hand.

import { existsSync, mkdirSync } from 'node:fs'
import { equalBytes, toHex } from '../base/bytes.ts'
import { type Clock, systemClock, systemRandom } from '../base/clock.ts'
import { LIMITS } from '../base/limits.ts'
import type { Logger } from '../base/logger.ts'
import { MeshError, messageOf } from '../base/mesh-error.ts'
import type { ConfigValues } from '../config/config-schema.ts'
import type { HomePaths } from '../config/paths.ts'
import { VERSION } from '../config/version.ts'
import { certificateId, encodeCertificate } from '../identity/certificate.ts'
import type { Identity } from '../identity/identity-store.ts'
import type { MeshFile } from '../identity/mesh-file.ts'
import type { EventDraft } from '../log/append-builder.ts'
import { type Instance, makeInstance } from '../log/beacon.ts'
import { encodeControl } from '../log/control-records.ts'
import { EventLog } from '../log/event-log.ts'
import type { EventStore } from '../log/event-store.ts'
import type { Head, PublicKeyHex } from '../log/statement.ts'
import { reachableAddresses, tryKeyOfAddress } from '../network/addresses.ts'
import { createMeshNetwork } from '../network/mesh-network.ts'
import type { MeshNetwork, NetworkHandlers } from '../network/network-contract.ts'
import type { ReplicationState } from '../replication/contract.ts'
import { openLevelStore } from '../store/open-level-store.ts'
import { markerFits, OwnMarkerWriter, readMarker, storePlace } from '../store/own-marker.ts'
import { chainOpened } from './found-mesh.ts'
import { InviteBook } from './invite-book.ts'
import { MemberDirectory } from './member-directory.ts'
import { MemberGate } from './member-gate.ts'
import { networkOptions } from './network-options.ts'
import { PeerRequests } from './peer-requests.ts'
import { ReplicationShell } from './replication-shell.ts'
import { RunHost } from './run-host.ts'
import type { ToolHost } from './tool-host.ts'

export interface NodeInit {
  readonly paths: HomePaths
  readonly identity: Identity
  readonly mesh: MeshFile
  readonly config: ConfigValues
  /** Multiaddrs of members to dial first, beside the configured ones. */
  readonly bootstrap: readonly string[]
  readonly psk?: Uint8Array
  /** The machine's clock when left out. */
  readonly clock?: Clock
  /** What it offers to runs; without it the node keeps the log and runs nothing. */
  readonly tools?: ToolHost
  /** Many nodes on one machine: no inbound rate limits, shorter grace times. */
  readonly crowded?: boolean
  readonly logger: Logger
}

const OPENED_RETRY_MS = 2_000
const ADDRESSES_EVERY_MS = 300_000

/** A node that is open but not started. */
export async function createNode(init: NodeInit): Promise<MeshNode> {
  const { paths, identity, mesh, logger } = init
  const { key } = identity
  const { clock = systemClock } = init
  const startedMs = clock.now()
  const openedAt = clock.monotonic()
  mkdirSync(paths.store, { recursive: true, mode: 0o700 })
  const store = await openLevelStore({ folder: paths.store, backups: paths.backups, expectedMesh: mesh.meshId, logger })
  try {
    const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref())
    const log = await EventLog.open({
      store,
      preimage: mesh.preimage,
      key,
      clock,
      random: systemRandom,
      logger,
      pause
    })
    const place = storePlace(paths.store)
    const marker = existsSync(paths.marker) ? readMarker(paths.marker, logger) : null
    const fits =
      marker !== null &&
      markerFits(marker, place) &&
      holdsHead(log, marker.head) &&
      !log.damaged.some((chain) => chain.startsWith(key.publicKeyHex))
    const directory = await MemberDirectory.open(store, log.mesh, key, clock, {
      name: init.config.node.name,
      version: VERSION
    })
    const invites = await InviteBook.open(log, key, clock, systemRandom)
    return new MeshNode(init, {
      store,
      log,
      directory,
      invites,
      markerWriter: new OwnMarkerWriter({ path: paths.marker, place, logger }),
      markerHead: marker?.head ?? null,
      markerFits: fits,
      instance: makeInstance(startedMs, systemRandom.bytes(8)),
      startedMs,
      openedInMs: clock.monotonic() - openedAt
    })
  } catch (error) {
    await store.close()
    throw error
  }
}

/** The store is not below the head that the marker names. */
function holdsHead(log: EventLog, head: Head): boolean {
  const tip = log.chains.get(head.key)?.tips[0]
  return tip !== undefined && (tip.lastSeq > head.lastSeq || equalBytes(tip.link, head.link))
}

interface NodeParts {
  readonly store: EventStore
  readonly log: EventLog
  readonly directory: MemberDirectory
  readonly invites: InviteBook
  readonly markerWriter: OwnMarkerWriter
  readonly markerHead: Head | null
  readonly markerFits: boolean
  readonly instance: Instance
  readonly startedMs: number
  readonly openedInMs: number
}

export class MeshNode {
  readonly init: NodeInit
  readonly log: EventLog
  readonly directory: MemberDirectory
  readonly invites: InviteBook
  readonly gate: MemberGate
  readonly network: MeshNetwork
  readonly shell: ReplicationShell
  readonly requests: PeerRequests
  readonly startedMs: number
  readonly openedInMs: number
  readonly #parts: NodeParts
  readonly #unlisten: (() => void)[] = []
  readonly #timers: NodeJS.Timeout[] = []
  readonly #watchers = new Set<() => void>()
  #opening: Promise<void> | null = null
  #run: RunHost | null = null
  #stopped = false

  constructor(init: NodeInit, parts: NodeParts) {
    const { log, directory, invites, instance, markerFits: fits, markerHead } = parts
    const { logger, clock = systemClock } = init
    const { key } = init.identity
    this.init = init
    this.#parts = parts
    this.log = log
    this.directory = directory
    this.invites = invites
    this.startedMs = parts.startedMs
    this.openedInMs = parts.openedInMs
    this.gate = new MemberGate({
      log,
      key,
      mesh: init.mesh,
      instance,
      clock,
      random: systemRandom,
      logger,
      invites,
      directory,
      network: () => this.network
    })
    this.shell = new ReplicationShell({
      log,
      network: () => this.network,
      key,
      instance,
      clock,
      random: systemRandom,
      logger,
      markerFits: fits,
      markerHead,
      stateChanged: (state) => this.#stateChanged(state)
    })
    this.requests = new PeerRequests(() => this.network, logger)
    this.requests.on('address/exchange', async (_peer, params) => {
      await this.#learn(params)
      return this.#addressBook()
    })
    this.network = createMeshNetwork(networkOptions(init, log.mesh), this.#handlers(), {
      clock,
      random: systemRandom,
      logger
    })
  }

  async start(): Promise<void> {
    const { log, directory, init } = this
    this.network.setAdmitted(this.gate.admitted())
    for (const member of log.view.members.values()) {
      const record = directory.get(member.key)
      if (member.key !== log.self && member.removal === null && record !== null)
        this.network.setMember(member.key, record.main)
    }
    this.#bookInviter()
    this.#unlisten.push(log.onCommit((commit) => this.#committed(commit)))
    await this.network.start()
    const { main, door } = this.network.addresses()
    directory.setOwn([...init.config.network.announce, ...reachableAddresses(main)], reachableAddresses(door))
    this.shell.start()
    if (init.tools !== undefined) {
      this.#run = await RunHost.open(this, init.tools, init.clock ?? systemClock)
      await this.#run.start()
    }
    this.#timers.push(setInterval(() => this.#exchangeAddresses(), ADDRESSES_EVERY_MS).unref())
  }

  /** Ends everything in the reverse order of `start`; what was acknowledged is on the disk already. */
  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    for (const timer of this.#timers) clearInterval(timer)
    await this.#run?.stop()
    this.shell.stop()
    await this.network.stop()
    for (const unlisten of this.#unlisten) unlisten()
    await this.log.close()
    await this.#parts.markerWriter.stop()
    await this.#parts.store.close()
  }

  /** Tasks and runs. TOOL_UNAVAILABLE on a node that was opened without tools, or is not started. */
  get run(): RunHost {
    if (this.#run === null) throw new MeshError('TOOL_UNAVAILABLE', 'this node runs no tasks')
    return this.#run
  }

  get runs(): boolean {
    return this.#run !== null
  }

  /** The store is the one that this node's marker was written for (PROTOCOL §4). */
  get markerFits(): boolean {
    return this.#parts.markerFits
  }

  get state(): ReplicationState | null {
    return this.shell.state
  }

  /** Called after each change of the replication state. */
  onState(watcher: () => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  #handlers(): NetworkHandlers {
    const { gate, shell, log } = this
    const { logger } = this.init
    return {
      hello: (peer) => gate.hello(peer),
      checkHello: (peer, hello) => gate.checkHello(peer, hello),
      peerUp: (peer) => this.#peerUp(peer),
      peerDown: (peer) => {
        this.directory.seen(peer)
        shell.step({ kind: 'peer-down', peer })
      },
      message: (peer, message) => shell.message(peer, message),
      writable: (peer) => shell.step({ kind: 'writable', peer, writable: true }),
      gossip: (peer, data) => shell.gossip(peer, data),
      request: (peer, body) => this.requests.answer(peer, body),
      door: (peer, protocol, exchange) => gate.door(peer, protocol, exchange),
      discovered: (peer, addresses) => {
        if (log.view.members.get(peer)?.removal === null) this.network.setMember(peer, addresses)
      },
      refused: (peer) => {
        gate
          .showCertificates(peer)
          .catch((error: unknown) => logger.warn('admit failed', { peer, message: messageOf(error) }))
      }
    }
  }

  /** The addresses that came with the join's answer, until the inviter's own record is here. */
  #bookInviter(): void {
    const byKey = Map.groupBy(this.init.mesh.bootstrap, tryKeyOfAddress)
    for (const [key, addresses] of byKey) {
      if (key !== null && key !== this.log.self && this.directory.get(key) === null)
        this.network.setMember(key, addresses)
    }
  }

  #peerUp(peer: PublicKeyHex): void {
    const hello = this.gate.helloOf(peer)
    if (hello === null) return
    this.directory.seen(peer)
    this.shell.step({ kind: 'peer-up', peer, key: peer, instance: hello.instance, timeMs: hello.timeMs })
    this.#askAddresses(peer)
    this.#run?.engine.lookAgain()
  }

  #committed(commit: {
    readonly view: unknown
    readonly stored: readonly { readonly own: boolean; readonly head: Head }[]
  }): void {
    for (const { own, head } of commit.stored) if (own) this.#parts.markerWriter.note(head)
    if (commit.view === null) return
    const admitted = this.gate.admitted()
    this.network.setAdmitted(admitted)
    for (const member of this.log.view.members.values()) {
      if (member.removal !== null) this.network.removeMember(member.key)
      else this.#follow(member.key)
    }
    this.#openChain()
  }

  /** Keeps a member connected once an address of it is known. */
  #follow(key: PublicKeyHex): void {
    const record = this.directory.get(key)
    if (key !== this.log.self && record !== null && record.main.length > 0) this.network.setMember(key, record.main)
  }

  #stateChanged(state: ReplicationState): void {
    if (state.phase === 'ready') this.#openChain()
    this.log.setWriteMode(
      state.phase === 'ready' ? 'open' : state.phase === 'recovering' ? 'held' : 'IDENTITY_IN_USE_TWICE'
    )
    for (const watcher of this.#watchers) watcher()
    this.#run?.engine.lookAgain()
  }

  /** The first own append: `chain-opened`, and `mesh-founded` of a founder whose store was lost before anybody saw it (PROTOCOL §5, §9). */
  #openChain(): void {
    const { log } = this
    if (this.shell.state?.phase !== 'ready' || this.#opening !== null || log.ownChain().tips.length > 0) return
    const { mesh, identity } = this.init
    const last = mesh.path.at(-1)
    const certificate = last === undefined ? mesh.meshId : certificateId(encodeCertificate(last))
    const drafts = [{ type: 'chain-opened', payload: chainOpened(certificate, this.#parts.instance) }]
    if (equalBytes(mesh.preimage.founder, identity.key.publicKey)) {
      drafts.push({ type: 'mesh-founded', payload: encodeControl({ type: 'mesh-founded', preimage: mesh.preimage }) })
    }
    this.#opening = this.#append(drafts)
  }

  async #append(drafts: readonly EventDraft[]): Promise<void> {
    try {
      await this.log.appendFirst(drafts)
    } catch (error) {
      this.init.logger.warn('the own chain could not be opened', { message: messageOf(error) })
      this.#timers.push(setTimeout(() => this.#openChain(), OPENED_RETRY_MS).unref())
    } finally {
      this.#opening = null
    }
  }

  #exchangeAddresses(): void {
    for (const { peer } of this.network.peers()) this.#askAddresses(peer)
  }

  /** Swaps signed address records with a member: ours for theirs. */
  #askAddresses(peer: PublicKeyHex): void {
    this.requests
      .ask(peer, 'address/exchange', this.#addressBook())
      .then((records) => this.#learn(records))
      .catch((error: unknown) =>
        this.init.logger.debug('addresses were not exchanged', { peer, message: messageOf(error) })
      )
  }

  #addressBook(): string[] {
    const records: string[] = []
    let bytes = 0
    for (const record of this.directory.encoded()) {
      bytes += record.length * 2 + 3
      if (bytes > LIMITS.addressBookBytesMax) break
      records.push(toHex(record))
    }
    return records
  }

  async #learn(value: unknown): Promise<void> {
    if (!Array.isArray(value)) return
    const records = value
      .filter((text): text is string => typeof text === 'string')
      .map((text) => Buffer.from(text, 'hex'))
    const news = await this.directory.learn(records)
    for (const key of news) if (this.log.view.members.get(key)?.removal === null) this.#follow(key)
  }
}
