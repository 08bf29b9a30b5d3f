#!/usr/bin/env node
// Verifies exports of a pmesh log, written from docs/protocol.md alone: node verify-export.mjs [--json] FILE [FILE…]
// Exit 0: every file is verified and, of several, all hold the same chains. 14: not so. 2: usage.
import { createHash, hash, verify } from 'node:crypto'
import { createReadStream } from 'node:fs'

const NOT_CHECKED = 'roles, rights, cuts (what has effect); who may erase what; clocks; JSON rules; what no line names'
const [ZEROS, KINDS] = ['0'.repeat(64), ['format', 'append', 'fork', 'witness', 'end']]
const demand = (holds, fault, verdict = 'tampered') => {
  if (!holds) throw Object.assign(new Error(fault), { verdict })
}
const tagged = (name, bytes) => Buffer.concat([Buffer.from(`pmesh/${name}/1\0`), bytes])
const sha256 = (name, bytes) => hash('sha256', tagged(name, bytes))
const isHex = (text, bytes) => text?.length === bytes * 2 && /^[0-9a-f]*$/.test(text)
const integer = (bytes, value) => value.toString(16).padStart(bytes * 2, '0')
const placeOf = ({ author, chain, epoch }) => author + integer(4, chain) + integer(4, epoch)
const spki = (key) => ({ key: Buffer.from(`302a300506032b6570032100${key}`, 'hex'), format: 'der', type: 'spki' })
const signed = (name, author, bytes, seal) => verify(null, tagged(name, bytes), spki(author), seal)
const fieldsOf = (text) => {
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
    demand(rest.length <= 8_388_608, 'EXPORT_INVALID the line is too long')
    yield* lines
  }
  demand(rest === '', 'EXPORT_INVALID the last line is cut off', 'incomplete')
}
// Statement ‖ seal in hex → its fields and link. `place`: author ‖ chain ‖ epoch, the chain key.
function headOf(text, mesh) {
  demand(isHex(text, 212), 'EXPORT_INVALID a head is not 212 bytes of hex')
  demand(text.startsWith(mesh), 'STORE_FOREIGN a head of another mesh')
  const [bytes, place] = [Buffer.from(text, 'hex'), text.slice(64, 144)]
  const [epoch, firstSeq, count] = [bytes.readUInt32BE(68), Number(bytes.readBigUInt64BE(72)), bytes.readUInt32BE(80)]
  const lastSeq = firstSeq + count - 1
  demand(Math.min(firstSeq, count, epoch) > 0 && count <= 1024 && lastSeq < 2 ** 53, 'EXPORT_INVALID range of a head')
  const sealed = signed('seal', place.slice(0, 64), bytes.subarray(0, 148), bytes.subarray(148))
  return { place, epoch, firstSeq, count, lastSeq, link: sha256('link', bytes), sealed }
}
const headOfAppend = ({ firstSeq, count, prev, lastId, seal, ...place }, mesh) =>
  headOf(mesh + placeOf(place) + integer(8, firstSeq) + integer(4, count) + prev + lastId + seal, mesh)
function checkEvent({ header, erased, salt, text: utf8, payload: hex }, place, seq, prev) {
  const [bytes, text] = [Buffer.from(header, 'hex'), (from, to) => bytes.toString('hex', from, to)]
  const [flags, length, type] = [bytes[1], bytes.readUInt32BE(139), bytes.toString('latin1', 176)]
  demand(bytes[0] === 1 && flags < 2 && bytes[2] < 2, `EXPORT_INVALID event ${seq}: newer format`, 'unknown')
  const words = type.length === bytes[175] && /^(?=.{1,64}$)[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(type)
  const lengths = isHex(header, bytes.length) && length <= 65_536 && (flags === 0 || length % 32 === 0)
  demand(words && lengths, `EXPORT_INVALID event ${seq}: layout`)
  demand(text(3, 115) === place + integer(8, seq) + prev, `LOG_PREVIOUS_MISMATCH event ${seq}: mesh, place or prev`)
  const eraser = erased && placeOf(erased) + integer(8, erased.seq)
  const payload = erased ? null : utf8 === undefined ? Buffer.from(hex, 'hex') : Buffer.from(utf8)
  const salted = payload && Buffer.concat([Buffer.from(salt, 'hex'), payload])
  const same = salted?.length === 16 + length && sha256('payload', salted) === text(143, 175)
  demand(erased ? flags === 1 && isHex(eraser, 48) : same, `LOG_HASH_MISMATCH event ${seq}: not the signed payload`)
  return { type, seq, id: sha256('event', bytes), size: bytes.length + 16 + length, payload, eraser }
}
class ExportCheck {
  result = { verdict: 'verified', code: null, message: null, stage: -1, lines: 0, events: 0, erased: 0, author: null }
  rows = new Map() // place → { open: appends that may go on, lastSeq, forked, closed }
  demanded = [] // signed heads that the file must hold
  admissions = []
  erasers = new Map() // places that erased events name → whether an event-erased is there
  digest = createHash('sha256')
  line(text) {
    const [value, before] = [fieldsOf(text), this.result.stage]
    const stage = KINDS.findIndex((kind) => Object.hasOwn(value, kind))
    Object.assign(this.result, { stage, lines: this.result.lines + 1 })
    demand(before < 0 ? stage === 0 : stage > 0 && stage >= before && before < 4, 'EXPORT_INVALID unexpected line')
    if (stage === 1) this.digest.update(`${text}\n`)
    this[KINDS[stage]](value[KINDS[stage]], value)
  }
  format(format, { mesh, author = null, preimage: { founder, recovery, nonce, name } }) {
    const bytes = Buffer.from(founder + (recovery ?? ZEROS) + nonce, 'hex')
    demand(format === 'pmesh-export/1' && bytes.length === 80, 'EXPORT_INVALID not an export of pmesh')
    demand(sha256('mesh', Buffer.concat([bytes, Buffer.from(name)])) === mesh, 'STORE_FOREIGN mesh id and preimage')
    Object.assign(this, { mesh, recovery, ranks: new Map([[founder, 0]]), result: { ...this.result, mesh, author } })
  }
  row(place) {
    if (!this.rows.has(place)) this.rows.set(place, { open: [{ lastSeq: 0, sealed: true, next: 0 }], lastSeq: 0 })
    return this.rows.get(place)
  }
  rowInOrder({ place, sealed }, text) {
    const order = `${this.result.stage}${text}`
    demand(order > (this.last ?? '') && place.startsWith(this.result.author ?? ''), 'EXPORT_INVALID lines out of order')
    demand(sealed, `LOG_SEAL_INVALID a head that its author did not sign: ${place}`)
    this.last = order
    return this.row(place)
  }
  append(append) {
    const { place, firstSeq, lastSeq, link, count, epoch, sealed } = headOfAppend(append, this.mesh)
    const row = this.rowInOrder({ place, sealed: true }, place + integer(8, firstSeq) + link)
    let [id, size] = [append.prev, 0]
    append.events.forEach((event, index) => {
      const checked = checkEvent(event, this.mesh + place, firstSeq + index, id)
      size += checked.size
      id = checked.id
      this.note(checked, place, epoch, append.prev)
    })
    demand(id === append.lastId, `LOG_HASH_MISMATCH append ${firstSeq}: not the id of its last event`)
    demand(append.events.length === count && size <= 196_608, `EXPORT_INVALID append ${firstSeq}: its size`)
    const start = epoch === 1 ? ZEROS : append.prev
    const parent = row.open.find((one) => one.lastSeq === firstSeq - 1 && (one.link ?? start) === append.prev)
    const code = row.lastSeq < firstSeq - 1 ? 'LOG_SEQUENCE_GAP' : 'LOG_PREVIOUS_MISMATCH'
    demand(parent, `${code} nothing leads to event ${firstSeq} of ${place}`)
    parent.next += 1
    row.open = row.open.filter((one) => one.next === 0 || one.lastSeq >= firstSeq - 1)
    row.open.push({ lastSeq, link, sealed, next: 0 })
    Object.assign(row, { forked: row.forked || parent.next > 1, lastSeq: Math.max(row.lastSeq, lastSeq) })
    this.result.events += count
  }
  note({ type, payload, seq, eraser }, place, epoch, prev) {
    if (eraser) this.erasers.set(eraser, this.erasers.get(eraser) ?? false)
    if (eraser) this.result.erased += 1
    if (type === 'event-erased') this.erasers.set(place + integer(8, seq), true)
    const control = /^(member-admitted|founder-named|epoch-opened)$/.test(type)
    const { certificate, founder, counter, cuts, signature, kept, branches } = control ? fieldsOf(payload) : {}
    if (isHex(certificate, 175) && certificate.startsWith(this.mesh) && place.startsWith(certificate.slice(128, 192))) {
      const [issuer, bytes] = [certificate.slice(128, 192), Buffer.from(certificate, 'hex')]
      const holds = signed('certificate', issuer, bytes.subarray(0, 111), bytes.subarray(111))
      if (holds) this.admissions.push({ subject: certificate.slice(64, 128), issuer, rank: bytes.readUInt16BE(96) })
    }
    if (this.recovery !== null && isHex(founder, 32) && isHex(signature, 64)) {
      const cut = (one) => placeOf({ ...one, author: '' }) + integer(8, one.seq) + one.id
      const text = Buffer.from(this.mesh + founder + integer(4, counter) + cuts.map(cut).join(''), 'hex')
      if (signed('refound', this.recovery, text, Buffer.from(signature, 'hex'))) this.ranks.set(founder, 0)
    }
    if (type !== 'epoch-opened' || seq !== 1 || epoch === 1 || kept === undefined) return
    const before = place.slice(0, 72) + integer(4, epoch - 1)
    const texts = [kept ?? [], branches ?? []].flat().filter((text) => isHex(text, 212))
    const heads = texts.map((text) => ({ ...headOf(text, this.mesh), counts: true }))
    if (prev !== (kept ? heads[0]?.link : ZEROS) || heads.some((head) => head.place !== before || !head.sealed)) return
    this.row(before).closed = true
    this.demanded.push(...heads)
  }
  fork(proof) {
    const [a, b] = [headOf(proof.slice(0, 424), this.mesh), headOf(proof.slice(424), this.mesh)]
    this.rowInOrder(a, a.place).forked = true
    demand(b.sealed && a.place === b.place && a.firstSeq === b.firstSeq && a.link < b.link, 'LOG_SEAL_INVALID no fork')
  }
  witness(witness) {
    this.demanded.push(headOf(witness, this.mesh))
    this.rowInOrder(this.demanded.at(-1), this.demanded.at(-1).place)
  }
  end({ events, digest }) {
    this.result.digest = this.digest.digest('hex')
    demand(events === this.result.events && digest === this.result.digest, 'EXPORT_INVALID the last line does not fit')
  }
  async verify(path) {
    for await (const text of linesOf(path)) this.line(text)
    demand(this.result.stage === 4, 'EXPORT_INVALID the file ends before its last line', 'incomplete')
    demand(this.result.events > 0, 'LOG_UNKNOWN there is no event: nothing can be said', 'unknown')
    const ends = [...this.rows.values()].flatMap((row) => row.open)
    demand(!ends.some((one) => one.next === 0 && !one.sealed), 'LOG_SEAL_INVALID a chain ends with a bad seal')
    const missing = new Map(this.demanded.reverse().map((head) => [head.link, head]))
    for (const { link } of ends) missing.delete(link)
    for await (const line of missing.size > 0 ? linesOf(path) : []) {
      if (line.startsWith('{"append"')) missing.delete(headOfAppend(JSON.parse(line).append, this.mesh).link)
    }
    const excused = ({ forked, closed }) => forked || closed
    const lacking = [...missing.values()].filter(({ place, counts }) => counts || !excused(this.row(place)))
    demand(!lacking.some((head) => head.lastSeq <= this.row(head.place).lastSeq), 'LOG_FORKED not what was signed')
    const absent = [...this.erasers].filter(([, found]) => !found).map(([place]) => place)
    const isHere = (place) => Number(`0x${place.slice(80)}`) <= this.rows.get(place.slice(0, 80))?.lastSeq
    demand(!absent.some(isHere), 'LOG_VERIFICATION_FAILED a payload is gone without an erasure')
    for (const { subject, issuer, rank } of this.admissions.sort((a, b) => a.rank - b.rank)) {
      if (this.ranks.get(issuer) < rank && !(this.ranks.get(subject) <= rank)) this.ranks.set(subject, rank)
    }
    const stranger = [...this.rows.keys()].find((place) => !this.ranks.has(place.slice(0, 64)))
    demand(this.result.author || !stranger, `LOG_UNKNOWN nobody admitted the author of ${stranger}`, 'unknown')
    demand(!lacking[0], `LOG_TRUNCATED ${lacking[0]?.place} to event ${lacking[0]?.lastSeq}: not here`, 'incomplete')
    demand(!absent[0], `LOG_VERIFICATION_FAILED pending: an erasure that is not here, ${absent[0]}`, 'incomplete')
  }
}
const files = []
for (const file of process.argv.slice(2).filter((argument) => argument !== '--json')) {
  const check = new ExportCheck()
  await check.verify(file).catch((error) => {
    if (error.syscall !== undefined) throw error
    const [verdict, words] = [error.verdict ?? 'tampered', error.message.split(' ')]
    const code = error.verdict === undefined ? 'EXPORT_INVALID' : words.shift()
    Object.assign(check.result, { verdict, code, message: `line ${check.result.lines}: ${words.join(' ')}` })
  })
  files.push({ file, ...check.result, forks: [...check.rows].filter(([, row]) => row.forked).map(([place]) => place) })
}
const identical = files.every(({ digest, mesh }) => digest && digest === files[0].digest && mesh === files[0].mesh)
const ok = identical && files.every(({ verdict }) => verdict === 'verified')
const lineOf = ({ file, verdict, events, erased, code, message, digest }) =>
  `${file}: ${verdict}, ${events} events, ${erased} erased, ${code === null ? `digest ${digest}` : `${code} ${message}`}`
const text = [...files.map(lineOf), `same chains: ${identical}`, `not checked: ${NOT_CHECKED}`].join('\n')
const json = JSON.stringify({ ok, identical, files, notChecked: NOT_CHECKED })
if (files.length === 0) console.error('usage: node verify-export.mjs [--json] FILE [FILE…]')
else console.log(process.argv.includes('--json') ? json : text)
process.exitCode = files.length === 0 ? 2 : ok ? 0 : 14
