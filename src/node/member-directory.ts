// Where members are and what they call themselves. Each member signs its own record with a counter; records travel by hello and by requests
// between members, the highest counter wins (PROTOCOL §6). Names are labels that their owners chose: nothing is decided by them.

import { asBuffer, fromHex, toHex, tryParseHex, utf8 } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { type SigningKey, verifySignature } from '../identity/ed25519.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import { TAGS } from '../identity/tags.ts'
import type { EventStore } from '../log/event-store.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import { localKey, rangeOf } from '../log/store-keys.ts'
import { tryParseAddress } from '../network/addresses.ts'
import type { MemberRef } from './node-api.ts'

/** What a member says of itself. */
export interface MemberRecord {
  readonly key: PublicKeyHex
  /** Only grows: the time of the change in ms, made larger than the last. */
  readonly counter: number
  readonly name: string
  readonly version: string
  readonly main: readonly string[]
  readonly door: readonly string[]
}

/** A record with the bytes that were signed: forwarded as they came. */
export interface SignedRecord {
  readonly record: MemberRecord
  readonly bytes: Uint8Array
  readonly signature: Uint8Array
}

const NAME_LENGTH_MAX = 64
const RECORD_BYTES_MAX = 4096
const PREFIX = 'address/'

export function cleanName(name: string): string {
  return (
    name
      .normalize('NFC')
      .replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '')
      .trim()
      .slice(0, NAME_LENGTH_MAX)
      // the first half of a character that was cut
      .replace(/[\ud800-\udbff]$/, '')
  )
}

export class MemberDirectory {
  readonly #store: EventStore
  readonly #mesh: Uint8Array
  readonly #key: SigningKey
  readonly #clock: Clock
  readonly #records = new Map<PublicKeyHex, SignedRecord>()
  readonly #seen = new Map<PublicKeyHex, number>()
  #own: SignedRecord

  private constructor(
    store: EventStore,
    mesh: Uint8Array,
    key: SigningKey,
    clock: Clock,
    own: Omit<MemberRecord, 'counter' | 'key'>
  ) {
    this.#store = store
    this.#mesh = mesh
    this.#key = key
    this.#clock = clock
    this.#own = this.#sign({ ...own, key: key.publicKeyHex, counter: clock.now() })
  }

  static async open(
    store: EventStore,
    mesh: Uint8Array,
    key: SigningKey,
    clock: Clock,
    own: { name: string; version: string }
  ): Promise<MemberDirectory> {
    const directory = new MemberDirectory(store, mesh, key, clock, {
      ...own,
      name: cleanName(own.name),
      main: [],
      door: []
    })
    for await (const [, value] of store.entries(rangeOf(localKey(PREFIX)))) {
      const signed = tryDecodeSigned(mesh, value)
      if (signed !== null) directory.#records.set(signed.record.key, signed)
    }
    return directory
  }

  get own(): SignedRecord {
    return this.#own
  }

  /** The addresses this node is now reached at. */
  setOwn(main: readonly string[], door: readonly string[]): void {
    const most = LIMITS.addressesPerMemberMax
    const { name, version, key, counter } = this.#own.record
    const record = {
      key,
      name,
      version,
      main: main.slice(0, most),
      door: door.slice(0, most),
      counter: Math.max(this.#clock.now(), counter + 1)
    }
    this.#own = this.#sign(record)
  }

  #sign(record: MemberRecord): SignedRecord {
    const bytes = utf8(JSON.stringify(record))
    return { record, bytes, signature: this.#key.sign(Buffer.concat([TAGS.address, this.#mesh, bytes])) }
  }

  /** Takes in records from others; returns the keys whose record is news. */
  async learn(records: readonly Uint8Array[]): Promise<PublicKeyHex[]> {
    const news: PublicKeyHex[] = []
    for (const encoded of records.slice(0, LIMITS.membersMax)) {
      const signed = tryDecodeSigned(this.#mesh, encoded)
      if (signed === null || signed.record.key === this.#key.publicKeyHex) continue
      const { key, counter } = signed.record
      const known = this.#records.get(key)
      if (known !== undefined && known.record.counter >= counter) continue
      if (known === undefined && this.#records.size >= LIMITS.membersMax) continue
      this.#records.set(key, signed)
      news.push(key)
      await this.#store.write([{ type: 'put', key: localKey(PREFIX + key), value: encodeSigned(signed) }], {
        sync: false
      })
    }
    return news
  }

  get(key: PublicKeyHex): MemberRecord | null {
    return key === this.#own.record.key ? this.#own.record : (this.#records.get(key)?.record ?? null)
  }

  /** Own record first, then the others', as they travel. */
  encoded(): Buffer[] {
    return [this.#own, ...this.#records.values()].map(encodeSigned)
  }

  seen(key: PublicKeyHex): void {
    this.#seen.set(key, this.#clock.now())
  }

  lastSeenMs(key: PublicKeyHex): number | null {
    return this.#seen.get(key) ?? null
  }

  ref(key: PublicKeyHex): MemberRef {
    const name = this.get(key)?.name ?? ''
    return { peerId: peerIdOf(key), name: name === '' ? peerIdOf(key).slice(-6) : name }
  }

  /** The one member that a name, peer id, key, or an unambiguous beginning of one means. MEMBER_UNKNOWN, MEMBER_AMBIGUOUS. */
  resolve(text: string, members: Iterable<PublicKeyHex>): PublicKeyHex {
    const all = [...members]
    const matches = (test: (value: string) => boolean): PublicKeyHex[] =>
      all.filter((key) => test(this.ref(key).name) || test(peerIdOf(key)) || test(key))
    const exact = matches((value) => value === text)
    const found = exact.length > 0 ? exact : matches((value) => text.length > 0 && value.startsWith(text))
    if (found.length === 1) return found[0] as PublicKeyHex
    const code = found.length === 0 ? 'MEMBER_UNKNOWN' : 'MEMBER_AMBIGUOUS'
    const which = found.length === 0 ? 'no member of this mesh goes' : `${found.length} members of this mesh go`
    throw new MeshError(code, `${which} by ${JSON.stringify(text.slice(0, 80))}`)
  }
}

/** signature 64 ‖ record in JSON */
export function encodeSigned(signed: SignedRecord): Buffer {
  return Buffer.concat([signed.signature, signed.bytes])
}

function tryDecodeSigned(mesh: Uint8Array, encoded: Uint8Array): SignedRecord | null {
  if (encoded.length <= 64 || encoded.length > RECORD_BYTES_MAX) return null
  const signature = encoded.subarray(0, 64)
  const bytes = asBuffer(encoded.subarray(64))
  const record = tryParseRecord(bytes)
  if (record === null) return null
  const valid = verifySignature(fromHex(record.key), Buffer.concat([TAGS.address, mesh, bytes]), signature)
  return valid ? { record, bytes: Buffer.from(bytes), signature: Buffer.from(signature) } : null
}

function tryParseRecord(bytes: Buffer): MemberRecord | null {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null) return null
  const { key, counter, name, version, main, door } = value as Record<string, unknown>
  const keyBytes = typeof key === 'string' ? tryParseHex(key, 32) : null
  if (keyBytes === null || typeof counter !== 'number' || !Number.isSafeInteger(counter) || counter < 0) return null
  if (typeof name !== 'string' || typeof version !== 'string' || version.length > 64) return null
  return { key: toHex(keyBytes), counter, name: cleanName(name), version, main: addresses(main), door: addresses(door) }
}

function addresses(value: unknown): string[] {
  if (!Array.isArray(value)) return []
  const texts = value
    .slice(0, LIMITS.addressesPerMemberMax)
    .filter((text): text is string => typeof text === 'string' && text.length <= 512)
  return texts.filter((text) => tryParseAddress(text) !== null)
}
