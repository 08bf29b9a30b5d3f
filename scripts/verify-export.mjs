#!/usr/bin/env node
// Verifies exports of a pmesh log, from docs/protocol.md alone and without pmesh: node verify-export.mjs [--json] FILE [FILE…]
// Exit 0: every file is verified and, of several, all hold the same chains. 14: not so. 2: usage. One line in memory at a time.
import { createHash, createPublicKey, hash, verify } from 'node:crypto'
import { createReadStream } from 'node:fs'

const [ZEROS, APPEND_BYTES_MAX, LINE_MAX] = ['0'.repeat(64), 196_608, 8_388_608]
const KINDS = ['format', 'append', 'fork', 'witness', 'end']
const NOT_CHECKED = `roles and rights, so whether an event has effect; cuts of removed members; what an erasure covers and
  who ordered it; clocks; JSON rules of payloads; authors and events that no line of the file names`
const demand = (holds, code, message, verdict = 'tampered') => {
  if (!holds) throw Object.assign(new Error(message), { verdict, fault: code })
}
const tagged = (name, bytes) => Buffer.concat([Buffer.from(`pmesh/${name}/1\0`), bytes])
const sha256 = (name, bytes) => hash('sha256', tagged(name, bytes))
const isHex = (text, bytes) => text?.length === bytes * 2 && /^[0-9a-f]*$/.test(text)
const integer = (bytes, value) => value.toString(16).padStart(bytes * 2, '0')
const placeOf = ({ author, chain, epoch }) => author + integer(4, chain) + integer(4, epoch)
const keyOf = (author) => ({
  key: Buffer.from(`302a300506032b6570032100${author}`, 'hex'),
  format: 'der',
  type: 'spki'
})
const signed = (name, author, bytes, seal) => verify(null, tagged(name, bytes), createPublicKey(keyOf(author)), seal)

function fieldsOf(text) {
  try {
    return JSON.parse(text) ?? {}
  } catch {
    return {} // a payload that is not JSON has no effect
  }
}

async function* linesOf(path) {
  let rest = ''
  for await (const chunk of createReadStream(path, 'utf8')) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()
    demand(rest.length <= LINE_MAX, 'EXPORT_INVALID', 'the line is too long')
    yield* lines
  }
  demand(rest === '', 'EXPORT_INVALID', 'the last line is cut off', 'incomplete')
}

/** Statement ‖ seal in hex → its fields and link. `place`: author ‖ chain ‖ epoch, the chain key. */
function headOf(text, mesh) {
  demand(isHex(text, 212), 'EXPORT_INVALID', 'a head is not 212 bytes of hex')
  demand(text.startsWith(mesh), 'STORE_FOREIGN', 'a head of another mesh')
  const [bytes, place] = [Buffer.from(text, 'hex'), text.slice(64, 144)]
  const [epoch, firstSeq, count] = [bytes.readUInt32BE(68), Number(bytes.readBigUInt64BE(72)), bytes.readUInt32BE(80)]
  const lastSeq = firstSeq + count - 1
  const ranges = firstSeq > 0 && count > 0 && count <= 1024 && epoch > 0 && Number.isSafeInteger(lastSeq)
  demand(ranges, 'EXPORT_INVALID', 'a number of a head is out of range')
  const sealed = signed('seal', place.slice(0, 64), bytes.subarray(0, 148), bytes.subarray(148))
  return { place, epoch, firstSeq, count, lastSeq, link: sha256('link', bytes), sealed }
}
const headOfAppend = ({ firstSeq, count, prev, lastId, seal, ...place }, mesh) =>
  headOf(mesh + placeOf(place) + integer(8, firstSeq) + integer(4, count) + prev + lastId + seal, mesh)

function checkEvent(event, place, seq, prev) {
  const [bytes, text] = [Buffer.from(event.header, 'hex'), (from, to) => bytes.toString('hex', from, to)]
  const [flags, length, type] = [bytes[1], bytes.readUInt32BE(139), bytes.toString('latin1', 176)]
  demand(bytes[0] === 1 && flags < 2 && bytes[2] < 2, 'EXPORT_INVALID', `event ${seq}: newer format`, 'unknown')
  const words = type.length === bytes[175] && /^(?=.{1,64}$)[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(type)
  const lengths = isHex(event.header, bytes.length) && length <= 65_536 && (flags === 0 || length % 32 === 0)
  demand(words && lengths, 'EXPORT_INVALID', `event ${seq}: layout`)
  demand(text(3, 83) === place + integer(8, seq), 'LOG_SEQUENCE_GAP', `event ${seq} names another place`)
  demand(text(83, 115) === prev, 'LOG_PREVIOUS_MISMATCH', `event ${seq} does not continue the event before it`)
  const { erased, salt, payload: hex = '', text: utf8 } = event
  const eraser = erased === undefined ? null : placeOf(erased) + integer(8, erased.seq)
  const payload = eraser === null ? (utf8 === undefined ? Buffer.from(hex, 'hex') : Buffer.from(utf8)) : null
  const commitment = payload && sha256('payload', Buffer.concat([Buffer.from(salt, 'hex'), payload]))
  const holds = payload ? payload.length === length && commitment === text(143, 175) : flags === 1 && isHex(eraser, 48)
  demand(holds, 'LOG_HASH_MISMATCH', `event ${seq}: not the payload that was signed`)
  return { type, seq, id: sha256('event', bytes), size: bytes.length + 16 + length, payload, eraser }
}

class ExportCheck {
  stage = -1
  events = 0
  erased = 0
  rows = new Map() // place → { open: appends that may go on, lastSeq, forked }
  closed = new Set() // places of epochs that a later one closed
  demanded = [] // signed heads that the file must hold
  admissions = []
  erasers = new Map() // places that erased events name → whether an event-erased is there
  digest = createHash('sha256')

  line(text) {
    const value = fieldsOf(text)
    const stage = KINDS.findIndex((kind) => Object.hasOwn(value, kind))
    const next = this.stage < 0 ? stage === 0 : stage > 0 && stage >= this.stage && this.stage < 4
    demand(next, 'EXPORT_INVALID', 'unexpected line')
    if (stage === 1) this.digest.update(`${text}\n`)
    if (stage !== this.stage) this.last = ''
    this.stage = stage
    this[KINDS[stage]](value[KINDS[stage]], value)
  }
  format(format, { mesh, author = null, preimage: { founder, recovery, nonce, name } }) {
    const bytes = Buffer.from(founder + (recovery ?? ZEROS) + nonce, 'hex')
    demand(format === 'pmesh-export/1' && bytes.length === 80, 'EXPORT_INVALID', 'not an export of pmesh')
    const holds = sha256('mesh', Buffer.concat([bytes, Buffer.from(name)])) === mesh
    demand(holds, 'STORE_FOREIGN', 'the mesh id does not follow from its preimage')
    Object.assign(this, { mesh, author, recovery, ranks: new Map([[founder, 0]]) })
  }
  rowInOrder({ place }, order) {
    demand(order > this.last && place.startsWith(this.author ?? ''), 'EXPORT_INVALID', 'lines out of order')
    this.last = order
    if (!this.rows.has(place)) this.rows.set(place, { open: [{ lastSeq: 0, sealed: true, next: 0 }], lastSeq: 0 })
    return this.rows.get(place)
  }
  append(append) {
    const head = headOfAppend(append, this.mesh)
    const { place, firstSeq, lastSeq, link } = head
    const row = this.rowInOrder(head, place + integer(8, firstSeq) + link)
    const start = head.epoch === 1 ? ZEROS : append.prev
    let [id, size] = [append.prev, 0]
    append.events.forEach((event, index) => {
      const checked = checkEvent(event, this.mesh + place, firstSeq + index, id)
      size += checked.size
      id = checked.id
      if (firstSeq + index === 1 && head.epoch > 1) this.keep(head, append.prev, checked)
      this.note(checked, place)
    })
    demand(id === append.lastId, 'LOG_HASH_MISMATCH', `append ${firstSeq}: not the id of its last event`)
    demand(append.events.length === head.count, 'LOG_SEQUENCE_GAP', `append ${firstSeq}: number of events`)
    const before = row.open.filter((one) => one.lastSeq === firstSeq - 1)
    demand(before.length > 0, 'LOG_SEQUENCE_GAP', `nothing leads to event ${firstSeq}`)
    const parent = before.find((one) => (one.link ?? start) === append.prev)
    demand(parent, 'LOG_PREVIOUS_MISMATCH', `event ${firstSeq} does not continue the append before it`)
    parent.next += 1
    demand(size <= APPEND_BYTES_MAX, 'EXPORT_INVALID', `append ${firstSeq}: too large`)
    row.open = row.open.filter((one) => one.next === 0 || one.lastSeq >= firstSeq - 1)
    row.open.push({ lastSeq, link, sealed: head.sealed, next: 0 })
    Object.assign(row, { forked: row.forked || parent.next > 1, lastSeq: Math.max(row.lastSeq, lastSeq) })
    this.events += head.count
  }
  /** An epoch-opened has effect where it continues the head that it keeps; then the file must hold that head. */
  keep({ place, epoch }, prev, { type, payload }) {
    const { kept } = type === 'epoch-opened' ? fieldsOf(payload) : {}
    const head = isHex(kept, 212) ? { ...headOf(kept, this.mesh), kept } : null
    const before = place.slice(0, 72) + integer(4, epoch - 1)
    if (prev !== (kept === null ? ZEROS : head?.link) || (head?.place ?? before) !== before) return
    this.closed.add(before)
    if (head !== null) this.demanded.push(head)
  }
  note({ type, payload, seq, eraser }, place) {
    if (type === 'event-erased') this.erasers.set(place + integer(8, seq), true)
    if (eraser !== null) this.erasers.set(eraser, this.erasers.get(eraser) ?? false)
    this.erased += eraser === null ? 0 : 1
    const fields = ['member-admitted', 'founder-named'].includes(type) ? fieldsOf(payload) : {}
    const { certificate = '', founder, counter, cuts, signature } = fields
    const [subject, issuer, bytes] = [
      certificate.slice(64, 128),
      certificate.slice(128, 192),
      Buffer.from(certificate, 'hex')
    ]
    if (isHex(certificate, 175) && certificate.startsWith(this.mesh) && place.startsWith(issuer)) {
      const holds = signed('certificate', issuer, bytes.subarray(0, 111), bytes.subarray(111))
      if (holds) this.admissions.push({ subject, issuer, rank: bytes.readUInt16BE(96) })
    }
    if (this.recovery !== null && isHex(founder, 32) && isHex(signature, 64)) {
      const cut = (one) => placeOf({ ...one, author: '' }) + integer(8, one.seq) + one.id
      const text = Buffer.from(this.mesh + founder + integer(4, counter) + cuts.map(cut).join(''), 'hex')
      if (signed('refound', this.recovery, text, Buffer.from(signature, 'hex'))) this.ranks.set(founder, 0)
    }
  }
  fork(proof) {
    const [a, b] = [headOf(proof.slice(0, 424), this.mesh), headOf(proof.slice(424), this.mesh)]
    this.rowInOrder(a, a.place).forked = true
    const differ = a.place === b.place && a.firstSeq === b.firstSeq && a.link < b.link
    demand(differ && a.sealed && b.sealed, 'LOG_SEAL_INVALID', 'a fork that is not proven')
  }
  witness(witness) {
    const head = headOf(witness, this.mesh)
    this.rowInOrder(head, head.place)
    demand(head.sealed, 'LOG_SEAL_INVALID', 'a witness that its author did not sign')
    this.demanded.push(head)
  }
  end({ events, digest }) {
    this.sum = this.digest.digest('hex')
    demand(events === this.events && digest === this.sum, 'EXPORT_INVALID', 'the last line does not fit the others')
  }
}

/** What only the whole file can tell. Reads it again when a signed head is not the end of its chain. */
async function finish(path, { rows, closed, demanded, erasers, ranks, admissions, ...check }) {
  demand(check.stage === 4, 'EXPORT_INVALID', 'the file ends before its last line', 'incomplete')
  demand(check.events > 0, 'LOG_UNKNOWN', 'there is no event: nothing can be said', 'unknown')
  const ends = [...rows.values()].flatMap((row) => row.open)
  demand(
    ends.every((one) => one.next > 0 || one.sealed),
    'LOG_SEAL_INVALID',
    'a chain ends with a bad seal'
  )
  const missing = new Map(demanded.map((head) => [head.link, head]))
  for (const { link } of ends) missing.delete(link)
  for await (const line of missing.size > 0 ? linesOf(path) : []) {
    if (line.startsWith('{"append"')) missing.delete(headOfAppend(JSON.parse(line).append, check.mesh).link)
  }
  const [lastSeqOf, forked] = [(place) => rows.get(place)?.lastSeq ?? 0, (place) => rows.get(place)?.forked]
  const excused = ({ place, kept }) => forked(place) || (closed.has(place) && kept === undefined)
  const lacking = [...missing.values()].filter((head) => !excused(head))
  const beyond = lacking.filter(({ place, lastSeq }) => lastSeq > lastSeqOf(place))
  demand(beyond.length === lacking.length, 'LOG_FORKED', 'a chain contradicts a head that its author signed')
  const open = [...erasers].filter(([, found]) => !found).map(([place]) => place)
  const pending = open.every((place) => Number.parseInt(place.slice(80), 16) > lastSeqOf(place.slice(0, 80)))
  demand(pending, 'LOG_VERIFICATION_FAILED', 'a payload is gone without an erasure')
  for (const { subject, issuer, rank } of admissions.flatMap(() => admissions)) {
    if (ranks.get(issuer) < rank && !(ranks.get(subject) <= rank)) ranks.set(subject, rank)
  }
  const stranger = [...rows.keys()].find((place) => check.author === null && !ranks.has(place.slice(0, 64)))
  demand(stranger === undefined, 'LOG_UNKNOWN', `nobody admitted ${stranger?.slice(0, 64)}`, 'unknown')
  const names = beyond.map(({ place, lastSeq }) => `${place} to event ${lastSeq}`).join(', ')
  demand(beyond.length === 0, 'LOG_TRUNCATED', `signed, and not here: ${names}`, 'incomplete')
  demand(open.length === 0, 'LOG_VERIFICATION_FAILED', `pending: erased by ${open[0]}, not here`, 'incomplete')
}

async function verifyFile(file) {
  const check = new ExportCheck()
  let [line, fault] = [0, { verdict: 'verified', code: null, message: null }]
  try {
    for await (const text of linesOf(file)) {
      line += 1
      check.line(text)
    }
    await finish(file, check)
  } catch (error) {
    if (error.syscall !== undefined) throw error
    const { verdict = 'tampered', fault: code = 'EXPORT_INVALID', message } = error
    fault = { verdict, code, message: `line ${line}: ${message}` }
  }
  const { mesh = null, author = null, events, erased, rows, sum: digest = null } = check
  return {
    file,
    ...fault,
    mesh,
    author,
    events,
    erased,
    forks: [...rows].filter(([, row]) => row.forked).map(([place]) => place),
    digest
  }
}

const [paths, files] = [process.argv.slice(2).filter((argument) => argument !== '--json'), []]
for (const path of paths) files.push(await verifyFile(path))
const identical = files.every(({ digest, mesh }) => digest && digest === files[0].digest && mesh === files[0].mesh)
const ok = identical && files.every(({ verdict }) => verdict === 'verified')
if (process.argv.includes('--json')) console.log(JSON.stringify({ ok, identical, files, notChecked: NOT_CHECKED }))
else {
  for (const { file, verdict, code, message, author, events, erased, forks, digest } of files) {
    console.log(`${file}: ${verdict}, ${events} events, ${erased} erased, ${forks.length} forks, digest ${digest}`)
    if (code !== null) console.log(`  ${code}  ${message}`)
    if (author !== null) console.log('  One author only: its membership is not checked.')
  }
  console.log(identical ? 'Every file holds the same chains.' : 'The files do NOT hold the same chains.')
  console.log(paths.length > 0 ? `Not checked: ${NOT_CHECKED}.` : 'usage: node verify-export.mjs [--json] FILE [FILE…]')
}
process.exitCode = paths.length === 0 ? 2 : ok ? 0 : 14
