// Controls of who is let in, with what rights, and until when.

import type { Mutant } from '../mutants.ts'

export const MEMBERS_MUTANTS: readonly Mutant[] = [
  {
    id: 'MEMBER-1',
    what: 'the main host lets every key in',
    file: 'src/network/main-host.ts',
    find: 'denyInboundEncryptedConnection: denies',
    replace: 'denyInboundEncryptedConnection: () => false'
  },
  {
    id: 'MEMBER-1',
    what: 'a hello that is refused does not matter',
    file: 'src/network/peer-links.ts',
    find: '        if (!accepted) {',
    replace: '        if (!accepted && hello.length === 0) {'
  },
  {
    id: 'MEMBER-1',
    what: 'a link is up before the other side accepted',
    file: 'src/network/peer-links.ts',
    find: 'if (!link.helloAccepted || !link.acceptedByPeer) return',
    replace: 'if (!link.helloAccepted) return'
  },
  {
    id: 'MEMBER-1',
    what: 'gossip begins before the hellos',
    file: 'src/network/gossip.ts',
    find: '} else if (this.#attached.has(peer)) {',
    replace: '} else if (peer.length > 0) {'
  },
  {
    id: 'MEMBER-1',
    what: 'messages before the hellos are accepted are delivered',
    file: 'src/network/peer-links.ts',
    find: 'if (link.upAtMs !== null && message.length > 0) {',
    replace: 'if (message.length > 0 && link.helloReceived) {'
  },
  {
    id: 'MEMBER-1',
    what: 'hellos need no signature',
    file: 'src/node/member-gate.ts',
    find: '    if (\n      !verifySignature(\n',
    replace: '    if (\n      sender.length === 0 &&\n      !verifySignature(\n'
  },
  {
    id: 'MEMBER-1',
    what: 'the hello of whoever has no certificates is accepted',
    file: 'src/node/member-gate.ts',
    find: '!this.#pathHolds(sender, hello.certificates, hello.namedFounder) : member.removal !== null',
    replace: 'false : member.removal !== null'
  },
  {
    id: 'MEMBER-1',
    what: 'the hello of a removed member is accepted',
    file: 'src/node/member-gate.ts',
    find: 'hello.namedFounder) : member.removal !== null',
    replace: 'hello.namedFounder) : false'
  },
  {
    id: 'MEMBER-2',
    what: 'a proof is not bound to the inviter',
    file: 'src/identity/join-proof.ts',
    find: '[fields.mesh, fields.inviter, fields.joiner,',
    replace: '[fields.mesh, fields.joiner,'
  },
  {
    id: 'MEMBER-2',
    what: 'a used invite admits again',
    file: 'src/node/invite-book.ts',
    find: "    if (state === 'used') return 'INVITE_USED'\n",
    replace: ''
  },
  {
    id: 'MEMBER-2',
    what: 'an expired invite admits',
    file: 'src/node/invite-book.ts',
    find: "    if (state === 'expired') return 'INVITE_EXPIRED'\n",
    replace: ''
  },
  {
    id: 'MEMBER-2',
    what: 'a revoked invite admits',
    file: 'src/node/invite-book.ts',
    find: "    if (state === 'revoked') return 'INVITE_REVOKED'\n",
    replace: ''
  },
  {
    id: 'MEMBER-2',
    what: 'the joiner proves its secret to any mesh',
    file: 'src/node/join-mesh.ts',
    find: ' || !equalBytes(challenge.mesh, invite.mesh)) throw',
    replace: ') throw'
  },
  {
    id: 'MEMBER-2',
    what: 'any proof redeems an invite',
    file: 'src/node/member-gate.ts',
    find: 'secret !== null && joinProofValid(secret, fields, proof.proof)',
    replace: 'secret !== null'
  },
  {
    id: 'MEMBER-3',
    what: 'events behind the cut are served until they are moved',
    file: 'src/log/line-lookup.ts',
    find: '    if (cut !== null && place.seq > cut) return null\n',
    replace: ''
  },
  {
    id: 'MEMBER-3',
    what: 'events behind the cut are accepted',
    file: 'src/log/stage-append.ts',
    find: '  if (insideCut(member, place) && !contradictsCut(batch, head)) return null\n',
    replace: '  return null\n'
  },
  {
    id: 'MEMBER-3',
    what: 'an unlisted chain key is not cut',
    file: 'src/log/removed-chain.ts',
    find: '(removal.cuts.get(row.key)?.seq ?? 0)',
    replace: '(removal.cuts.get(row.key)?.seq ?? null)'
  },
  {
    id: 'MEMBER-3',
    what: 'a removed member stays connected',
    file: 'src/network/mesh-network.ts',
    find: '    this.#started?.links.cutStrangers()\n',
    replace: ''
  },
  {
    id: 'MEMBER-3',
    what: 'a removed member is answered',
    file: 'src/replication/replicator.ts',
    find: '    if (removal) this.#dropRemoved()\n',
    replace: ''
  },
  {
    id: 'MEMBER-4',
    what: 'observers append everything',
    file: 'src/log/own-lane.ts',
    find: '        !roleAtLeast(grant.role, rule.role) ||\n',
    replace: ''
  },
  {
    id: 'MEMBER-4',
    what: 'rights are not looked at',
    file: 'src/log/own-lane.ts',
    find: ' ||\n        (rule.right !== null && !hasRight(grant.rights, rule.right))',
    replace: ''
  },
  {
    id: 'MEMBER-4',
    what: 'members remove members',
    file: 'src/log/mesh-fold.ts',
    find: "body.type === 'member-removed' && grant.role === 'admin' && hasRight(grant.rights, 'remove')",
    replace: "body.type === 'member-removed'"
  },
  {
    id: 'MEMBER-4',
    what: 'what an observer seals by force has effect',
    file: 'src/log/logged-event.ts',
    find: ' || !roleAtLeast(grant.role, rule.role)) return false',
    replace: ') return false'
  },
  {
    id: 'MEMBER-5',
    what: 'quarantined events stay there',
    file: 'src/log/cut-follower.ts',
    find: '    for (const author of cutsMoved(before, state.view)) this.#offer(author)\n',
    replace: ''
  },
  {
    id: 'MEMBER-5',
    what: 'the branch that the cut names does not count',
    file: 'src/log/chain-row.ts',
    find: 'return named.length > 0 ? named : (known',
    replace: 'return named.length < 0 ? named : (known'
  },
  {
    id: 'MEMBER-5',
    what: 'whoever lost the admission keeps its events',
    file: 'src/log/removed-chain.ts',
    find: '  if (member === undefined) return 0\n',
    replace: '  if (member === undefined) return null\n'
  },
  {
    id: 'MEMBER-5',
    what: 'equal ranks remove each other',
    file: 'src/log/mesh-fold.ts',
    find: 'filter((removal) => removal.rank < candidate.rank)',
    replace: 'filter((removal) => removal.rank <= candidate.rank)'
  },
  {
    id: 'MEMBER-5',
    what: 'anybody names a founder',
    file: 'src/log/mesh-fold.ts',
    find: "const valid = signed && checkPublicKey(founder) === 'ok'",
    replace: "const valid = (signed || !signed) && checkPublicKey(founder) === 'ok'"
  },
  {
    id: 'MEMBER-5',
    what: 'acts behind the cut have effect',
    file: 'src/log/mesh-fold.ts',
    find: '.filter((record) => insideCut(member, record.place))',
    replace: ''
  },
  {
    id: 'MEMBER-5',
    what: 'who admits first wins',
    file: 'src/log/mesh-fold.ts',
    find: 'if (other === undefined || admittedBefore(candidate, other))',
    replace: 'if (other === undefined)'
  },
  {
    id: 'MEMBER-5',
    what: 'certificates need no signature',
    file: 'src/log/mesh-fold.ts',
    find: "=== 'ok' && certificateSignatureValid(certificate)",
    replace: "=== 'ok'"
  },
  {
    id: 'MEMBER-5',
    what: 'records are folded in the order of their arrival',
    file: 'src/log/mesh-fold.ts',
    find: '[...records].sort(compareRecords)',
    replace: 'records'
  },
  {
    id: 'MEMBER-6',
    what: 'another key behind an address is accepted',
    file: 'src/network/host-parts.ts',
    find: 'return await secureOutbound(connection, options)',
    replace: 'return await secureOutbound(connection, { ...options, remotePeer: undefined })'
  },
  {
    id: 'MEMBER-6',
    what: 'the key at the end of an address is not compared',
    file: 'src/network/addresses.ts',
    find: 'return keyOfAddress(address) === key ? address : null',
    replace: 'return address'
  },
  {
    id: 'MEMBER-6',
    what: 'any transport is dialled',
    file: 'src/network/addresses.ts',
    find: "return SHAPES.some((pattern) => pattern.test(shape.join('/'))) ? address : null",
    replace: 'return shape.length > 0 ? address : null'
  },
  {
    id: 'MEMBER-6',
    what: 'bootstrap addresses are not dialled',
    file: 'src/network/mesh-network.ts',
    find: '    for (const { peer, address } of bootstrap) redial.pin(peer, address)\n',
    replace: ''
  },
  {
    id: 'MEMBER-7',
    what: 'the pre-shared key is not used',
    file: 'src/network/host-parts.ts',
    find: 'if (psk === undefined) return {}',
    replace: 'if (psk === undefined || psk.length > 0) return {}'
  }
]
