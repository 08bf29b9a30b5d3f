#!/usr/bin/env node
// Verifies exports of a pmesh log (docs/protocol.md): node verify-export.mjs [--json] FILE [FILE…]
// Written from that page alone: imports nothing of pmesh, holds one line and one row per chain in memory.
// Exit 0: every file is verified and, of several, all hold the same chains. 14: not so. 2: usage.
import { isUtf8 } from 'node:buffer'
import { createHash, createPublicKey, hash, verify } from 'node:crypto'
import { createReadStream } from 'node:fs'

const ZEROS = '0'.repeat(64)
const APPEND_KEYS = 'author,chain,epoch,firstSeq,count,prev,lastId,seal,events'
const KINDS = ['format', 'append', 'fork', 'witness', 'end']
const NOT_CHECKED = `roles and rights, so whether an event has effect; cuts of removed members; what an erasure covers and
  who ordered it; clocks; JSON rules of payloads; authors and events that no line of the file names`

const demand = (holds, code, message, verdict = 'tampered') => {
  if (!holds) throw Object.assign(new Error(message), { verdict, code })
}
const sha256 = (name, bytes) => hash('sha256', Buffer.concat([Buffer.from(`pmesh/${name}/1\0`), bytes]))
const isHex = (text, bytes) => typeof text === 'string' && text.length === bytes * 2 && /^[0-9a-f]*$/.test(text)
const integer = (bytes, value) => value.toString(16).padStart(bytes * 2, '0')
const placeOf = ({ author, chain, epoch }) => author + integer(4, chain) + integer(4, epoch)
const nameOf = (place) => `${place.slice(0, 64)}/${parseInt(place.slice(64, 72), 16)}/${parseInt(place.slice(72), 16)}`

function signed(name, author, bytes, signature) {
  const key = { key: Buffer.from(`302a300506032b6570032100${author}`, 'hex'), format: 'der', type: 'spki' }
  return verify(null, Buffer.concat([Buffer.from(`pmesh/${name}/1\0`), bytes]), createPublicKey(key), signature)
}

function fieldsOf(bytes) {
  try {
    return JSON.parse(bytes) ?? {}
  } catch {
    return {} // a payload that is not JSON has no effect
  }
}

async function* linesOf(path) {
  let rest = Buffer.alloc(0)
  for await (const chunk of createReadStream(path)) {
    let from = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      yield Buffer.concat([rest, chunk.subarray(from, at + 1)])
      rest = Buffer.alloc(0)
      from = at + 1
    }
    rest = Buffer.concat([rest, chunk.subarray(from)])
    demand(rest.length <= 8_388_608, 'EXPORT_INVALID', 'the line is too long')
  }
  demand(rest.length === 0, 'EXPORT_INVALID', 'the last line is cut off', 'incomplete')
}

/** Statement ‖ seal in hex → its fields and link. `place`: author ‖ chain ‖ epoch, the chain key. */
function headOf(text) {
  demand(isHex(text, 212), 'EXPORT_INVALID', 'a head is not 212 bytes of hex')
  const bytes = Buffer.from(text, 'hex')
  const [place, epoch, count] = [text.slice(64, 144), bytes.readUInt32BE(68), bytes.readUInt32BE(80)]
  const firstSeq = Number(bytes.readBigUInt64BE(72))
  const lastSeq = firstSeq + count - 1
  const ranges = firstSeq > 0 && count > 0 && count <= 1024 && epoch > 0 && Number.isSafeInteger(lastSeq)
  demand(ranges, 'EXPORT_INVALID', 'a number of a head is out of range')
  const sealed = signed('seal', place.slice(0, 64), bytes.subarray(0, 148), bytes.subarray(148))
  const before = place.slice(0, 72) + integer(4, epoch - 1)
  return { mesh: text.slice(0, 64), place, before, epoch, firstSeq, count, lastSeq, link: sha256('link', bytes), sealed }
}

const headOfAppend = (mesh, append) => {
  const numbers = integer(8, append.firstSeq) + integer(4, append.count)
  return headOf(mesh + placeOf(append) + numbers + append.prev + append.lastId + append.seal)
}

function checkEvent(event, head, seq, prev) {
  const bytes = Buffer.from(event.header, 'hex')
  const [length, text] = [bytes.readUInt32BE(139), (from, to) => bytes.toString('hex', from, to)]
  demand(bytes[0] === 1 && bytes[1] < 2 && bytes[2] < 2, 'EXPORT_INVALID', `event ${seq}: newer format`, 'unknown')
  const type = bytes.toString('latin1', 176)
  const words = type.length === bytes[175] && type.length <= 64 && /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(type)
  const layout = words && isHex(event.header, bytes.length) && length <= 65_536 && (bytes[1] === 0 || length % 32 === 0)
  demand(layout, 'EXPORT_INVALID', `event ${seq}: layout`)
  demand(text(3, 35) === head.mesh, 'STORE_FOREIGN', `event ${seq} is of another mesh`)
  demand(text(35, 75) === head.place, 'LOG_HASH_MISMATCH', `event ${seq} is of another chain`)
  demand(text(75, 83) === integer(8, seq), 'LOG_SEQUENCE_GAP', `event ${seq} has another number`)
  demand(text(83, 115) === prev, 'LOG_PREVIOUS_MISMATCH', `event ${seq} does not continue event ${seq - 1}`)
  const checked = { type, seq, id: sha256('event', bytes), size: bytes.length + 16 + length, payload: null }
  const keys = Object.keys(event).join()
  if (keys === 'header,erased') {
    const eraser = `${placeOf(event.erased)}${integer(8, event.erased.seq)}`
    const fields = Object.keys(event.erased).join() === 'author,chain,epoch,seq' && isHex(eraser, 48)
    demand(fields && bytes[1] === 1, 'EXPORT_INVALID', `event ${seq}: erasure`)
    return { ...checked, eraser }
  }
  const payload = Buffer.from(event.text ?? event.payload, event.text === undefined ? 'hex' : 'utf8')
  const form = isUtf8(payload) ? 'header,salt,text' : 'header,salt,payload'
  demand(keys === form && isHex(event.salt, 16), 'EXPORT_INVALID', `event ${seq}: fields`)
  const commitment = sha256('payload', Buffer.concat([Buffer.from(event.salt, 'hex'), payload]))
  const holds = payload.length === length && commitment === text(143, 175)
  demand(holds, 'LOG_HASH_MISMATCH', `event ${seq}: the payload is not the one that was signed`)
  return { ...checked, payload }
}

class ExportCheck {
  stage = -1
  events = 0
  erased = 0
  rows = new Map() // place → { open: appends that may go on, forked, closed, lastSeq }
  demanded = [] // signed heads that the file must hold
  admissions = []
  erasers = new Map() // places that erased events name → whether an event-erased is there
  digests = { chains: createHash('sha256'), digest: createHash('sha256') }
  faults = []

  line(bytes) {
    const value = fieldsOf(bytes)
    const kind = Object.keys(value)[0]
    const stage = KINDS.indexOf(kind)
    const next = this.stage < 0 ? stage === 0 : stage > 0 && stage >= this.stage && this.stage < 4
    demand(next && `${JSON.stringify(value)}\n` === bytes.toString(), 'EXPORT_INVALID', 'unexpected line')
    if (stage === 1) this.digests.chains.update(bytes)
    if (stage === 1 || stage === 2) this.digests.digest.update(bytes)
    if (stage !== this.stage) this.last = ''
    this.stage = stage
    this[kind](value[kind], value)
  }

  format(format, { mesh, author, preimage: { founder, recovery, nonce, name } }) {
    const bytes = founder + (recovery ?? ZEROS) + nonce
    demand(format === 'pmesh-export/1' && isHex(bytes, 80), 'EXPORT_INVALID', 'not an export of pmesh')
    const id = sha256('mesh', Buffer.concat([Buffer.from(bytes, 'hex'), Buffer.from(name)]))
    demand(id === mesh, 'STORE_FOREIGN', 'the mesh id does not follow from its preimage')
    Object.assign(this, { mesh, author, recovery, ranks: new Map([[founder, 0]]) })
  }

  inOrder(head, order) {
    demand(head.mesh === this.mesh, 'STORE_FOREIGN', `a head of ${nameOf(head.place)} is of another mesh`)
    demand(order > this.last && head.place.startsWith(this.author ?? ''), 'EXPORT_INVALID', 'lines out of order')
    this.last = order
    if (!this.rows.has(head.place)) this.rows.set(head.place, { open: [{ lastSeq: 0, bad: 0, next: 0 }], lastSeq: 0 })
    return this.rows.get(head.place)
  }

  append(append) {
    const head = headOfAppend(this.mesh, append)
    const row = this.inOrder(head, head.place + integer(8, head.firstSeq) + head.link)
    const fields = Object.keys(append).join() === APPEND_KEYS && append.events.length === head.count
    demand(fields, 'EXPORT_INVALID', `append ${head.firstSeq}: fields`)
    let [id, size] = [append.prev, 0]
    const checked = append.events.map((event, index) => {
      const one = checkEvent(event, head, head.firstSeq + index, id)
      size += one.size
      id = one.id
      return one
    })
    demand(id === append.lastId, 'LOG_HASH_MISMATCH', `append ${head.firstSeq}: not the id of its last event`)
    this.continue(row, head, append.prev, size, checked[0])
    for (const one of checked) this.note(one, head)
    this.events += head.count
  }

  /** Behind an append of its chain, or the first of its epoch. A bad seal counts once a good one is linked behind it. */
  continue(row, head, prev, size, first) {
    row.open = row.open.filter((one) => one.lastSeq >= head.firstSeq - 1 || (one.next === 0 && one.lastSeq > 0))
    const before = row.open.filter((one) => one.lastSeq === head.firstSeq - 1)
    demand(before.length > 0, 'LOG_SEQUENCE_GAP', `nothing leads to event ${head.firstSeq} of ${nameOf(head.place)}`)
    const start = head.epoch === 1 ? ZEROS : this.keptLink(head, prev, first)
    const parent = before.find((one) => (one.link ?? start) === prev)
    demand(parent, 'LOG_PREVIOUS_MISMATCH', `event ${head.firstSeq} of ${nameOf(head.place)} continues another chain`)
    parent.next += 1
    row.forked ||= parent.next > 1
    row.lastSeq = Math.max(row.lastSeq, head.lastSeq)
    const bad = head.sealed ? 0 : parent.bad + size
    demand(size <= 196_608 && bad <= 196_608, 'LOG_SEAL_INVALID', `append ${head.firstSeq} is too large or not signed`)
    row.open.push({ lastSeq: head.lastSeq, link: head.link, bad, next: 0 })
  }

  /** The first append of a later epoch continues the head that its epoch-opened keeps; without one it has no effect. */
  keptLink(head, prev, first) {
    const kept = head.firstSeq === 1 && first.type === 'epoch-opened' ? fieldsOf(first.payload).kept : undefined
    if (kept === undefined) return prev
    if (this.rows.has(head.before)) this.rows.get(head.before).closed = true
    if (kept === null) return ZEROS
    this.demanded.push({ ...headOf(kept), kept: true })
    const holds = this.demanded.at(-1).sealed && this.demanded.at(-1).place === head.before
    return holds ? this.demanded.at(-1).link : null
  }

  note({ type, payload, seq, eraser }, { place }) {
    const fields = ['event-erased', 'member-admitted', 'founder-named'].includes(type) ? fieldsOf(payload) : {}
    if (type === 'event-erased') this.erasers.set(place + integer(8, seq), true)
    if (eraser !== undefined) this.erasers.set(eraser, this.erasers.get(eraser) ?? false)
    if (eraser !== undefined) this.erased += 1
    if (isHex(fields.certificate, 175) && fields.certificate.startsWith(this.mesh)) {
      const [text, bytes] = [fields.certificate, Buffer.from(fields.certificate, 'hex')]
      const [subject, issuer, rank] = [text.slice(64, 128), text.slice(128, 192), bytes.readUInt16BE(96)]
      const holds = signed('certificate', issuer, bytes.subarray(0, 111), bytes.subarray(111)) && place.startsWith(issuer)
      if (holds) this.admissions.push({ subject, issuer, rank })
    }
    if (this.recovery !== null && isHex(fields.founder, 32) && isHex(fields.signature, 64) && Array.isArray(fields.cuts)) {
      const cut = ({ chain, epoch, seq, id }) => integer(4, chain) + integer(4, epoch) + integer(8, seq) + id
      const text = this.mesh + fields.founder + integer(4, fields.counter) + fields.cuts.map(cut).join('')
      const holds = signed('refound', this.recovery, Buffer.from(text, 'hex'), Buffer.from(fields.signature, 'hex'))
      if (holds) this.ranks.set(fields.founder, 0)
    }
  }

  fork(proof) {
    const [a, b] = [headOf(proof.slice(0, 424)), headOf(proof.slice(424))]
    this.inOrder(a, a.place).forked = true
    const differ = a.place === b.place && a.mesh === b.mesh && a.firstSeq === b.firstSeq && a.link < b.link
    demand(differ && a.sealed && b.sealed, 'LOG_SEAL_INVALID', `the fork of ${nameOf(a.place)} is not proven`)
  }

  witness(witness) {
    const head = headOf(witness)
    this.inOrder(head, head.place)
    demand(head.sealed, 'LOG_SEAL_INVALID', `a witness of ${nameOf(head.place)} is not signed by its author`)
    this.demanded.push(head)
  }

  end(end) {
    this.digests = { chains: this.digests.chains.digest('hex'), digest: this.digests.digest.digest('hex') }
    const expected = JSON.stringify({ events: this.events, ...this.digests })
    demand(JSON.stringify(end) === expected, 'EXPORT_INVALID', 'count or digest do not fit the lines before')
  }

  fault(fails, verdict, code, message) {
    if (fails) this.faults.push({ verdict, code, message })
  }

  finish(missing) {
    this.fault(this.stage < 4, 'incomplete', 'EXPORT_INVALID', 'the file ends before its last line')
    this.fault(this.events === 0, 'unknown', 'LOG_UNKNOWN', 'there is no event: nothing can be said')
    for (const { place, lastSeq: seq, kept } of missing) {
      const { lastSeq, forked, closed } = this.rows.get(place) ?? { lastSeq: 0 }
      const [excused, name] = [forked || (closed && !kept), nameOf(place)]
      this.fault(!excused && seq > lastSeq, 'incomplete', 'LOG_TRUNCATED', `${name} goes on to event ${seq}: signed`)
      this.fault(!excused && seq <= lastSeq, 'tampered', 'LOG_FORKED', `${name} at ${seq} is not what its author signed`)
    }
    for (const [eraser, found] of this.erasers) {
      const pending = parseInt(eraser.slice(80), 16) > (this.rows.get(eraser.slice(0, 80))?.lastSeq ?? 0)
      const [verdict, what] = pending ? ['incomplete', 'pending: not here is'] : ['tampered', 'payloads are gone without']
      this.fault(!found, verdict, 'LOG_VERIFICATION_FAILED', `${what} an erasure at ${nameOf(eraser.slice(0, 80))}`)
    }
    for (const { subject, issuer, rank } of this.admissions.flatMap(() => this.admissions)) {
      if (this.ranks.get(issuer) < rank && !(this.ranks.get(subject) <= rank)) this.ranks.set(subject, rank)
    }
    for (const [place, { open }] of this.rows) {
      const [name, unsigned] = [nameOf(place), open.some(({ next, bad }) => next === 0 && bad > 0)]
      this.fault(unsigned, 'tampered', 'LOG_SEAL_INVALID', `its author did not sign the end of ${name}`)
      const stranger = this.author === undefined && !this.ranks.has(place.slice(0, 64))
      this.fault(stranger, 'unknown', 'LOG_UNKNOWN', `nobody admitted the author of ${name}`)
    }
  }
}
