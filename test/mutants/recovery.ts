// Controls of what outlives crashes, copies, clocks and damage; exports.

import type { Mutant } from '../mutants.ts'

export const RECOVERY_MUTANTS: readonly Mutant[] = [
  {
    id: 'CHAIN-10',
    what: 'appends are acknowledged before they are written',
    file: 'src/log/commit-writer.ts',
    find: '      await written\n',
    replace: '      for (const request of staged) request.durable()\n      await written\n'
  },
  {
    id: 'CHAIN-10',
    what: 'the log does not go on after a full disk',
    file: 'src/log/commit-writer.ts',
    find: '        this.#failure = null\n',
    replace: ''
  },
  {
    id: 'CHAIN-10',
    what: 'chains are not read again after a failed write',
    file: 'src/log/event-log.ts',
    find: '    this.#install(state)\n    if (end',
    replace: '    if (end'
  },
  {
    id: 'CHAIN-10',
    what: 'a quarantine that a crash cut off is not resumed',
    file: 'src/log/event-log.ts',
    find: '    log.#cuts.follow(log.state, null)\n',
    replace: ''
  },
  {
    id: 'CHAIN-11',
    what: 'verifying keeps what it has read',
    file: 'src/log/verify-log.ts',
    find: '    this.events += head.count\n',
    replace: "    this.events += head.count\n    Object.assign(this, { ['kept ' + this.events]: blocks })\n"
  },
  {
    id: 'CHAIN-11',
    what: 'an export is held in memory before it is written',
    file: 'src/log/export.ts',
    find: 'if (this.#waitingBytes >= CHUNK_BYTES) await',
    replace: 'if (this.#waitingBytes >= 1e12) await'
  },
  {
    id: 'CHAIN-12',
    what: 'the node trusts the headers of an export',
    file: 'src/log/verify-export.ts',
    find: '        equalBytes(given, header),\n',
    replace: '        given.length === header.length,\n'
  },
  {
    id: 'CHAIN-12',
    what: 'the node trusts the end of an export',
    file: 'src/log/verify-export.ts',
    find: "demand(same, 'EXPORT_INVALID', 'number",
    replace: "demand(same || !same, 'EXPORT_INVALID', 'number"
  },
  {
    id: 'CHAIN-12',
    what: 'the node does not miss witnessed heads',
    file: 'src/log/verify-export.ts',
    find: '      lacking.length === 0,\n',
    replace: '      lacking.length >= 0,\n'
  },
  {
    id: 'CHAIN-12',
    what: 'what the node exports is not what it signed',
    file: 'src/log/export.ts',
    find: '    prev: toHex(head.prev),\n    lastId',
    replace: '    prev: toHex(head.link),\n    lastId'
  },
  {
    id: 'CHAIN-13',
    what: 'own events of another copy are taken in while writing',
    file: 'src/log/stage-append.ts',
    find: '  if (row.author === writer && !wants(batch, head)) return',
    replace: "  if (row.author === 'nobody') return"
  },
  {
    id: 'CHAIN-13',
    what: 'appends go on over a missing own end',
    file: 'src/log/own-lane.ts',
    find: 'return row.fork !== null || (row.witness !== null && row.witness.lastSeq > (row.tips[0]?.lastSeq ?? 0))',
    replace: 'return row.fork !== null'
  },
  {
    id: 'CHAIN-13',
    what: 'appends go on in a forked epoch',
    file: 'src/log/own-lane.ts',
    find: 'return row.fork !== null || (row.witness',
    replace: 'return (row.witness'
  },
  {
    id: 'CHAIN-13',
    what: 'an epoch begun elsewhere is begun again',
    file: 'src/log/epoch-opening.ts',
    find: ' || next.witness !== null',
    replace: ''
  },
  {
    id: 'CHAIN-13',
    what: 'a marker fits in every folder',
    file: 'src/store/own-marker.ts',
    find: ' && marker.inode === place.inode',
    replace: ''
  },
  {
    id: 'CHAIN-13',
    what: 'a forged marker is believed',
    file: 'src/store/own-marker.ts',
    find: 'decoded !== null && headSealValid(decoded) ?',
    replace: 'decoded !== null ?'
  },
  {
    id: 'CHAIN-13',
    what: 'two live copies both write',
    file: 'src/replication/instances.ts',
    find: 'live && compareBytes(own, instance) > 0)',
    replace: 'live && compareBytes(own, instance) > 1)'
  },
  {
    id: 'CHAIN-13',
    what: 'the next epoch does not adopt the branches',
    file: 'src/replication/branches.ts',
    find: '    for (const tip of record.state?.tips ?? []) add(tip)\n    if',
    replace: '    if'
  },
  {
    id: 'CHAIN-14',
    what: 'a stamp far in the future is followed',
    file: 'src/log/hybrid-clock.ts',
    find: '    if (stamp.ms > this.#clock.now() + LIMITS.clockSkewMsMax) return true\n',
    replace: ''
  },
  {
    id: 'CHAIN-14',
    what: 'a clock that was set back is not noted',
    file: 'src/log/hybrid-clock.ts',
    find: '    if (this.#lastOwn.ms <= now + LIMITS.clockSkewMsMax) return null\n',
    replace: '    return null\n'
  },
  {
    id: 'CHAIN-14',
    what: 'refused events move the clock',
    file: 'src/log/remote-clocks.ts',
    find: 'if (!stored || last === undefined) continue',
    replace: 'if (last === undefined) continue'
  },
  {
    id: 'CHAIN-15',
    what: 'gaps in the commit marks are not looked for',
    file: 'src/log/log-open.ts',
    find: 'if ((expected !== null && number !== expected) || mark === null) return { last, found: true }',
    replace: 'if (mark === null) return { last, found: true }'
  },
  {
    id: 'CHAIN-15',
    what: 'the own chain is not reported after a loss',
    file: 'src/log/event-log.ts',
    find: 'this.damaged = opened.lossy && !opened.damaged.includes(own) ? [...opened.damaged, own] : opened.damaged',
    replace: 'this.damaged = opened.damaged'
  },
  {
    id: 'CHAIN-15',
    what: 'damage that a read meets is not repaired',
    file: 'src/log/damage-healer.ts',
    find: '      if (isDamage(error)) this.start(key)\n',
    replace: ''
  },
  {
    id: 'CHAIN-15',
    what: 'a branch is stored before the part it stands on',
    file: 'src/log/stage-append.ts',
    find: 'head.firstSeq === fork.forkSeq ? followsCommon(row, fork, head)',
    replace: 'head.firstSeq === fork.forkSeq ? equalBytes(head.prev, fork.proof.a.prev)'
  },
  {
    id: 'CHAIN-15',
    what: 'a chain that is made anew forgets what was witnessed',
    file: 'src/log/log-repair.ts',
    find: 'const witness = higherHead(row.witness, tip ?? null)',
    replace: 'const witness = null'
  },
  {
    id: 'CHAIN-15',
    what: 'what counts depends on which branch came first',
    file: 'src/log/event-query.ts',
    find: '    if (fork === null || head.firstSeq < fork.forkSeq) return true',
    replace: '    return true'
  }
]
