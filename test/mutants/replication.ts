// Controls of gossip, range sync and what hostile peers may cost.

import type { Mutant } from '../mutants.ts'

export const REPLICATION_MUTANTS: readonly Mutant[] = [
  {
    id: 'SYNC-1',
    what: 'nobody is told at connection what is here',
    file: 'src/replication/frontier.ts',
    find: '  peerUp(peer: PeerRecord): void {\n    this.#sendDigest(peer)',
    replace: '  peerUp(peer: PeerRecord): void {\n    peer.digestDueMs += 1e9'
  },
  {
    id: 'SYNC-1',
    what: 'what is missing is not fetched',
    file: 'src/replication/fetching.ts',
    find: 'if (this.#fetches.size >= LIMITS.fetchesMax) return',
    replace: 'if (this.#fetches.size >= 0) return'
  },
  {
    id: 'SYNC-1',
    what: 'frontiers are exchanged once',
    file: 'src/replication/frontier.ts',
    find: 'if (peer.digestDueMs <= nowMs) this',
    replace: 'if (peer.digestDueMs < 0) this'
  },
  {
    id: 'SYNC-1',
    what: 'gossip that came too early is forgotten',
    file: 'src/replication/gossip.ts',
    find: '      if (entry === undefined || this.#ingesting >= INGESTING_MAX) continue\n',
    replace: '      if (entry === undefined || this.#ingesting >= 0) continue\n'
  },
  {
    id: 'SYNC-1',
    what: 'gossiped appends are not stored',
    file: 'src/replication/gossip.ts',
    find: '(follows || next || older)',
    replace: 'older'
  },
  {
    id: 'SYNC-2',
    what: 'lost peers are not dialled again',
    file: 'src/network/redial.ts',
    find: 'if (this.#ports.admits(peer) && !this',
    replace: 'if (entry.attempts === 0 && !this'
  },
  {
    id: 'SYNC-2',
    what: 'the back-off has no limit',
    file: 'src/network/redial.ts',
    find: 'Math.min(LIMITS.redialMsMax, full)',
    replace: 'Math.min(1e9, full)'
  },
  {
    id: 'SYNC-2',
    what: 'a peer that differs is taken for equal',
    file: 'src/replication/frontier.ts',
    find: 'if (equalBytes(digest, this.#core.chains.digest())) {',
    replace: 'if (digest.length > 0) {'
  },
  {
    id: 'SYNC-3',
    what: 'a message over the limit is read',
    file: 'src/network/framed-stream.ts',
    find: 'if (length > this.#messageBytesMax) {',
    replace: 'if (length > 2 ** 31) {'
  },
  {
    id: 'SYNC-3',
    what: 'faults cost nothing',
    file: 'src/network/penalties.ts',
    find: 'points: total, atMs',
    replace: 'points: 0, atMs'
  },
  {
    id: 'SYNC-3',
    what: 'an offender is let in again at once',
    file: 'src/network/penalties.ts',
    find: 'const barred = total > BARRED_OVER || this.isBarred(peer)',
    replace: 'const barred = total > 1e9'
  },
  {
    id: 'SYNC-3',
    what: 'gossip with foreign fields is forwarded',
    file: 'src/network/gossip.ts',
    find: 'if (hasEnvelope(message) || message.data === undefined) throw',
    replace: 'if (message.data === undefined) throw'
  },
  {
    id: 'SYNC-3',
    what: 'rejected gossip is accepted',
    file: 'src/network/gossip.ts',
    find: 'reject: TopicValidatorResult.Reject',
    replace: 'reject: TopicValidatorResult.Accept'
  },
  {
    id: 'SYNC-3',
    what: 'parked gossip has no limit per author',
    file: 'src/replication/gossip.ts',
    find: '    while ((this.#bytesByAuthor.get(entry.author) ?? 0) + size > LIMITS.parkedBytesPerAuthorMax)\n      this.#dropOldest(entry.author)\n',
    replace: ''
  },
  {
    id: 'SYNC-3',
    what: 'parked gossip has no limit',
    file: 'src/replication/gossip.ts',
    find: '    while (this.#bytes + size > LIMITS.parkedBytesMax) this.#dropOldest(null)\n',
    replace: ''
  },
  {
    id: 'SYNC-3',
    what: 'gossip of non-members is parked',
    file: 'src/replication/gossip.ts',
    find: 'if (!this.#core.members.has(author) || record',
    replace: 'if (record'
  },
  {
    id: 'SYNC-3',
    what: 'a flood is not noticed',
    file: 'src/replication/core.ts',
    find: '    if (peer.budget < cost) return false\n',
    replace: ''
  },
  {
    id: 'SYNC-3',
    what: 'faults never end a connection',
    file: 'src/replication/core.ts',
    find: 'if (peer.faults >= LIMITS.peerFaultsMax) this',
    replace: 'if (peer.faults >= 1e9) this'
  },
  {
    id: 'SYNC-3',
    what: 'frames that nobody asked for cost nothing',
    file: 'src/replication/fetching.ts',
    find: "      this.#core.fault(peer, 'frame-unasked')\n",
    replace: ''
  },
  {
    id: 'SYNC-3',
    what: 'the door knows no rate',
    file: 'src/network/rate-limit.ts',
    find: 'return span.taken <= this.#count',
    replace: 'return true'
  },
  {
    id: 'SYNC-3',
    what: 'gossip with a broken seal is forwarded',
    file: 'src/node/replication-shell.ts',
    find: ' || append.fault !== null)',
    replace: ')'
  },
  {
    id: 'SYNC-3',
    what: 'heads of another mesh are forwarded',
    file: 'src/node/replication-shell.ts',
    find: ' || !equalBytes(head.mesh, this.#options.log.mesh)',
    replace: ''
  },
  {
    id: 'SYNC-3',
    what: 'heads with a broken seal are forwarded',
    file: 'src/node/replication-shell.ts',
    find: ' || !headSealValid(head)) return',
    replace: ' || head.lastSeq < 1) return'
  },
  {
    id: 'SYNC-3',
    what: 'gossip of non-members is forwarded',
    file: 'src/node/replication-shell.ts',
    find: '      member !== undefined && insideCut(',
    replace: '      member === undefined || insideCut('
  },
  {
    id: 'SYNC-3',
    what: 'what does not decode costs nothing',
    file: 'src/node/replication-shell.ts',
    find: "      this.#options.network().penalise(peer, POINTS['frame-invalid'], 'a sync message that does not decode')",
    replace: "      this.#options.logger.debug('a sync message that does not decode')"
  },
  {
    id: 'SYNC-3',
    what: 'faults of peers are not told to the network',
    file: 'src/node/replication-shell.ts',
    find: '        network.penalise(effect.peer, POINTS[effect.fault], effect.fault)\n',
    replace: ''
  },
  {
    id: 'SYNC-4',
    what: 'frames are sent without credit',
    file: 'src/replication/serving.ts',
    find: '      peer.sendCredit -= result.bytes.length\n',
    replace: ''
  },
  {
    id: 'SYNC-4',
    what: 'more than was granted is taken in',
    file: 'src/replication/fetching.ts',
    find: '    if (peer.receiveCredit < 0) {',
    replace: '    if (peer.receiveCredit < -1e12) {'
  },
  {
    id: 'SYNC-4',
    what: 'a full queue is not heeded',
    file: 'src/replication/serving.ts',
    find: '|| peer.gone || !peer.writable) return',
    replace: '|| peer.gone) return'
  },
  {
    id: 'SYNC-4',
    what: 'credit is given back before a frame is stored',
    file: 'src/replication/fetching.ts',
    find: '    fetch.ingesting++\n    fetch.frames++',
    replace: '    this.#grant(peer, size)\n    fetch.ingesting++\n    fetch.frames++'
  },
  {
    id: 'SYNC-4',
    what: 'a reader that never reads is kept',
    file: 'src/network/framed-stream.ts',
    find: 'if (this.backlogBytes > BACKLOG_BYTES_MAX) {',
    replace: 'if (this.backlogBytes > 1e12) {'
  },
  {
    id: 'SYNC-4',
    what: 'the sender is never told to wait',
    file: 'src/network/framed-stream.ts',
    find: 'this.#waiting ||= this.backlogBytes > BACKLOG_HIGH_BYTES',
    replace: 'this.#waiting ||= this.backlogBytes > 1e12'
  },
  {
    id: 'SYNC-5',
    what: 'every fetch begins at the beginning',
    file: 'src/replication/fetching.ts',
    find: '[mine === undefined ? null : placeOf(mine)]',
    replace: '[null]'
  },
  {
    id: 'SYNC-5',
    what: 'a cut frame loses the whole appends before the cut',
    file: 'src/log/append-codec.ts',
    find: "if (end > bytes.length) return { appends, fault: 'layout' }",
    replace: "if (end > bytes.length) return { appends: [], fault: 'layout' }"
  },
  {
    id: 'SYNC-5',
    what: 'what is stored is written again',
    file: 'src/log/stage-append.ts',
    find: "  if (siblings.some((sibling) => equalBytes(sibling.link, head.link))) return { kind: 'known', key: head.key }\n",
    replace: ''
  },
  {
    id: 'SYNC-5',
    what: 'a part of a message is delivered',
    file: 'src/network/framed-stream.ts',
    find: 'if (body === null || this.#bodyFilled < body.length) return',
    replace: 'if (body === null) return'
  },
  {
    id: 'SYNC-6',
    what: 'nobody is asked before the first append',
    file: 'src/replication/recovery.ts',
    find: '    if (answered === 0) return',
    replace: "    if (answered >= 0) return 'none'\n    if (answered === 0) return"
  },
  {
    id: 'SYNC-6',
    what: 'a sealed own head that is missing is not fetched',
    file: 'src/replication/recovery.ts',
    find: "if (missing === null && (answered === peers.size || stalled)) return 'none'",
    replace: "if (answered === peers.size || stalled) return 'none'"
  },
  {
    id: 'SYNC-6',
    what: 'one answer is enough',
    file: 'src/replication/recovery.ts',
    find: '(answered === peers.size || stalled)) return',
    replace: '(answered > 0 || stalled)) return'
  },
  {
    id: 'SYNC-6',
    what: 'without a peer nobody waits',
    file: 'src/replication/recovery.ts',
    find: "      if (!this.#markerFits || missing !== null) return 'peers'\n",
    replace: ''
  },
  {
    id: 'SYNC-7',
    what: 'a fetch without progress stays where it is',
    file: 'src/replication/fetching.ts',
    find: "else this.#fail(fetch, 'claim-not-served')",
    replace: "else this.#core.wake('fetch', nowMs + 1000)"
  },
  {
    id: 'SYNC-7',
    what: 'a frame that does not hold has no consequence',
    file: 'src/replication/fetching.ts',
    find: "if (outcome.kind === 'invalid') return this.#fail(fetch, 'frame-invalid')",
    replace: "if (outcome.kind === 'invalid') return"
  },
  {
    id: 'SYNC-7',
    what: 'claims are believed unchecked',
    file: 'src/replication/fetching.ts',
    find: 'claim === undefined || !claim.checked || peer.gone',
    replace: 'claim === undefined || peer.gone'
  },
  {
    id: 'SYNC-7',
    what: 'chains are fetched one at a time',
    file: 'src/replication/fetching.ts',
    find: 'if (this.#fetches.size >= LIMITS.fetchesMax) return',
    replace: 'if (this.#fetches.size >= 1) return'
  },
  {
    id: 'SYNC-7',
    what: 'one peer gets every fetch',
    file: 'src/replication/fetching.ts',
    find: 'if (peer.fetches >= LIMITS.fetchesPerPeerMax) continue',
    replace: 'if (peer.fetches >= 1e9) continue'
  }
]
