// Controls of one chain: hashes, seals, links, encoding, forks.

import type { Mutant } from '../mutants.ts'

export const CHAINS_MUTANTS: readonly Mutant[] = [
  {
    id: 'CHAIN-1',
    what: 'times are left out of the hash',
    file: 'src/log/append-check.ts',
    find: '  headerText.writeUIntBE(row.timeMs, HEADER_AT + 115, 6)\n',
    replace: ''
  },
  {
    id: 'CHAIN-1',
    what: 'scopes are left out of the hash',
    file: 'src/log/append-check.ts',
    find: '  headerText.set(rowScope(blocks, row), HEADER_AT + 123)\n',
    replace: ''
  },
  {
    id: 'CHAIN-1',
    what: 'payloads are left out of the commitment',
    file: 'src/log/append-check.ts',
    find: 'row.bodyAt, row.bodyAt + length)',
    replace: 'row.bodyAt, row.bodyAt + SALT_BYTES)'
  },
  {
    id: 'CHAIN-1',
    what: 'an append has several encodings',
    file: 'src/log/append-codec.ts',
    find: 'return complete && canonical && size',
    replace: 'return complete && size'
  },
  {
    id: 'CHAIN-1',
    what: 'bytes behind an append are let through',
    file: 'src/log/append-codec.ts',
    find: 'return complete && canonical && size',
    replace: 'return canonical && size'
  },
  {
    id: 'CHAIN-2',
    what: 'seals are not verified',
    file: 'src/log/frame-check.ts',
    find: '  while (good >= 0 && !headSealValid((run[good] as { head: Head }).head)) good--\n',
    replace: ''
  },
  {
    id: 'CHAIN-2',
    what: 'any signature passes',
    file: 'src/log/statement.ts',
    find: 'return verifySignature(head.author, sealText(encodeStatement(head)), head.seal)',
    replace: 'return head.seal.length === SEAL_BYTES'
  },
  {
    id: 'CHAIN-2',
    what: 'a good seal vouches for appends that it is not linked to',
    file: 'src/log/frame-check.ts',
    find: ' && equalBytes(head.prev, before.link)',
    replace: ''
  },
  {
    id: 'CHAIN-2',
    what: 'an export may end with a bad seal',
    file: 'src/log/verify-export.ts',
    find: 'demand(!unsigned,',
    replace: 'demand(unsigned || !unsigned,'
  },
  {
    id: 'CHAIN-3',
    what: 'heads that peers showed raise no witness',
    file: 'src/log/event-log.ts',
    find: '    batch.witness(head)\n',
    replace: ''
  },
  {
    id: 'CHAIN-3',
    what: 'the end is not compared with what signed heads prove',
    file: 'src/log/verify-log.ts',
    find: 'witness !== null && counts && witness.lastSeq > highest',
    replace: 'witness !== null && counts && witness.lastSeq > highest + 1e9'
  },
  {
    id: 'CHAIN-3',
    what: 'a lower head lowers the witness',
    file: 'src/log/batch.ts',
    find: 'const witness = higherHead(row.witness, head)',
    replace: 'const witness: Head | null = head'
  },
  {
    id: 'CHAIN-3',
    what: 'heads above what is stored are not looked at',
    file: 'src/replication/frontier.ts',
    find: '    if (above) unchecked.push(head)\n',
    replace: ''
  },
  {
    id: 'CHAIN-3',
    what: 'witnesses are not written down',
    file: 'src/log/batch.ts',
    find: "    this.add({ type: 'put', key: chainRowKey(RANGES.witness, row), value: encodeHead(witness) })\n",
    replace: ''
  },
  {
    id: 'CHAIN-3',
    what: 'a chain that is made anew forgets what was stored',
    file: 'src/log/log-repair.ts',
    find: 'const witness = higherHead(row.witness, tip ?? null)',
    replace: 'const witness = null'
  },
  {
    id: 'CHAIN-4',
    what: 'an author without events is valid',
    file: 'src/log/verify-log.ts',
    find: 'const unknown = events === 0 ?',
    replace: 'const unknown = events < 0 ?'
  },
  {
    id: 'CHAIN-5',
    what: 'a contradicting append is no fork',
    file: 'src/log/stage-append.ts',
    find: '    if (proof !== null && headSealValid(proof.a) && headSealValid(proof.b)) return proof\n',
    replace: ''
  },
  {
    id: 'CHAIN-5',
    what: 'a contradicting head is no fork',
    file: 'src/log/event-log.ts',
    find: 'if (proof !== null && headSealValid(stored)) await',
    replace: 'if (proof !== null && head.epoch > 1e6) await'
  },
  {
    id: 'CHAIN-5',
    what: 'branches are stored whoever wants them',
    file: 'src/log/stage-append.ts',
    find: '  if (!wants(batch, head, fork)) return',
    replace: '  if (fork.forkSeq < 0) return'
  },
  {
    id: 'CHAIN-5',
    what: 'branches count unvouched',
    file: 'src/log/event-query.ts',
    find: '    if (fork === null || head.firstSeq < fork.forkSeq) return true',
    replace: '    return true'
  },
  {
    id: 'CHAIN-5',
    what: 'the first fork known stays',
    file: 'src/log/stage-append.ts',
    find: 'row.fork !== null && row.fork.forkSeq <= firstSeq',
    replace: 'row.fork !== null'
  },
  {
    id: 'CHAIN-5',
    what: 'a proof is kept to oneself',
    file: 'src/replication/branches.ts',
    find: '    for (const peer of this.#core.peers.values()) {\n      peer.proofs.set(key, proof)',
    replace:
      '    for (const peer of this.#core.peers.values()) {\n      if (proof !== null) continue\n      peer.proofs.set(key, proof)'
  },
  {
    id: 'CHAIN-6',
    what: 'chains are not told apart when they are verified',
    file: 'src/log/verify-log.ts',
    find: 'if (this.#walk?.key !== head.key) this.#begin(head.key)',
    replace: 'if (this.#walk === null) this.#begin(head.key)'
  },
  {
    id: 'CHAIN-6',
    what: 'authors are not told apart when they are verified',
    file: 'src/log/verify-log.ts',
    find: 'reader.all(fromHex(author))',
    replace: "reader.all(author === '' ? fromHex(author) : null)"
  },
  {
    id: 'CHAIN-7',
    what: 'places are compared by their sequence numbers alone',
    file: 'src/log/statement.ts',
    find: '|| equalBytes(first.link, second.link)) return null',
    replace: '|| first.lastSeq === second.lastSeq) return null'
  },
  {
    id: 'CHAIN-7',
    what: 'an export’s lines are joined by sequence numbers alone',
    file: 'src/log/verify-export.ts',
    find: 'before.find((end) => equalBytes(end.head.link, head.prev))',
    replace: 'before.at(0)'
  },
  {
    id: 'CHAIN-8',
    what: 'negative zero is accepted',
    file: 'src/log/strict-json.ts',
    find: 'if (Object.is(value, -0)) throw',
    replace: "if (Object.is(value, '')) throw"
  },
  {
    id: 'CHAIN-8',
    what: 'integers above 2^53 are accepted',
    file: 'src/log/strict-json.ts',
    find: 'Number.isInteger(value) && !Number.isSafeInteger(value)',
    replace: 'Number.isInteger(value) && !Number.isFinite(value)'
  },
  {
    id: 'CHAIN-8',
    what: 'duplicate keys are accepted',
    file: 'src/log/strict-json.ts',
    find: '      if (at === to) return true\n',
    replace: ''
  },
  {
    id: 'CHAIN-8',
    what: 'duplicate keys in another spelling are accepted',
    file: 'src/log/strict-json.ts',
    find: "if (!raw.includes('\\\\')) return raw",
    replace: 'if (raw.length > 0) return raw'
  },
  {
    id: 'CHAIN-8',
    what: 'lone surrogates are accepted',
    file: 'src/log/strict-json.ts',
    find: 'if (unit >= 0xdc00 && unit <= 0xdfff) throw',
    replace: 'if (unit >= 0xdc00 && unit <= 0) throw'
  },
  {
    id: 'CHAIN-8',
    what: 'one field of the header is encoded otherwise',
    file: 'src/log/append-check.ts',
    find: 'headerText.writeUInt16BE(row.timeCounter',
    replace: 'headerText.writeUInt16LE(row.timeCounter'
  },
  {
    id: 'CHAIN-8',
    what: 'payloads are appended unchecked',
    file: 'src/log/append-builder.ts',
    find: "  if (fault !== null) throw new MeshError('EVENT_INVALID', `the payload",
    replace: "  if (fault === '') throw new MeshError('EVENT_INVALID', `the payload"
  },
  {
    id: 'CHAIN-8',
    what: 'payloads of others have effect unchecked',
    file: 'src/log/logged-event.ts',
    find: 'tryParseControl(type, payload) !== null : jsonObjectFault(payload) === null',
    replace: 'tryParseControl(type, payload) !== null : true'
  },
  {
    id: 'CHAIN-8',
    what: 'control records of others are parsed unchecked',
    file: 'src/log/strict-json.ts',
    find: '  if (jsonObjectFault(bytes) !== null) return null\n',
    replace: '  if (bytes.length === 0) return null\n'
  },
  {
    id: 'CHAIN-9',
    what: 'an append at a taken place is stored beside it',
    file: 'src/log/stage-append.ts',
    find: "  if (siblings.some((sibling) => equalBytes(sibling.link, head.link))) return { kind: 'known', key: head.key }\n",
    replace: ''
  },
  {
    id: 'CHAIN-9',
    what: 'an append with a broken seal is stored',
    file: 'src/log/stage-append.ts',
    find: '  if (checked.fault !== null) return checked.fault\n',
    replace: ''
  }
]
