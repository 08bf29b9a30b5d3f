// Turns the drafts of local callers into sealed appends: checks each draft against the registry and the JSON rules, fills erasable
// payloads, and groups callers' batches without cutting one (PROTOCOL §1 "Append").

import { asBuffer, isZero } from '../base/bytes.ts'
import type { Random } from '../base/clock.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { SigningKey } from '../identity/ed25519.ts'
import { eventIds, statementOf } from './append-check.ts'
import {
  type AppendBlocks,
  type AppendPlace,
  type AppendRowInput,
  ENCODING_JSON,
  encodeBlocks,
  eventSize,
  FILL_BYTES,
  FLAG_ERASABLE,
  isEventType,
  NO_SCOPE,
  SALT_BYTES,
  SCOPE_BYTES,
  writeSeal
} from './append-codec.ts'
import { tryParseControl } from './control-records.ts'
import { CONTROL_TYPES, eventType } from './event-types.ts'
import type { Stamp } from './hybrid-clock.ts'
import { type Head, sealStatement } from './statement.ts'
import { jsonObjectFault } from './strict-json.ts'

/** An event that a local caller wants appended. */
export interface EventDraft {
  readonly type: string
  /** One JSON object in UTF-8; its exact bytes are stored. */
  readonly payload: Uint8Array
  /** 16 bytes; absent: none. */
  readonly scope?: Uint8Array
}

export interface PreparedEvent {
  readonly type: string
  readonly payload: Uint8Array
  readonly scope: Uint8Array
  readonly flags: number
  readonly size: number
}

/** Checks one draft. EVENT_TYPE_INVALID, EVENT_INVALID, EVENT_TOO_LARGE. */
export function prepareEvent(draft: EventDraft): PreparedEvent {
  const registered = isEventType(draft.type) ? eventType(draft.type) : null
  if (registered === null)
    throw new MeshError(
      'EVENT_TYPE_INVALID',
      `cannot append an event of type ${JSON.stringify(draft.type.slice(0, 80))}`
    )
  if (draft.payload.length > LIMITS.payloadBytesMax) {
    throw new MeshError(
      'EVENT_TOO_LARGE',
      `the payload has ${draft.payload.length} bytes, at most ${LIMITS.payloadBytesMax} fit`
    )
  }
  const fault = jsonObjectFault(draft.payload)
  if (fault !== null) throw new MeshError('EVENT_INVALID', `the payload is not acceptable JSON: ${fault}`)
  if (CONTROL_TYPES.has(draft.type) && tryParseControl(draft.type, draft.payload) === null) {
    throw new MeshError('EVENT_INVALID', `the payload is not what ${draft.type} demands`)
  }
  const scope = draft.scope ?? NO_SCOPE
  if (scope.length !== SCOPE_BYTES) throw new MeshError('EVENT_INVALID', 'a scope is 16 bytes')
  const erasable = registered.class === 'content'
  const payload = erasable ? fillPayload(draft.payload) : draft.payload
  const flags = erasable ? FLAG_ERASABLE : 0
  return { type: draft.type, payload, scope, flags, size: eventSize(draft.type.length, payload.length) }
}

/** Fills with spaces behind the text to the next multiple of 32, so that an erased text leaves no exact length. */
export function fillPayload(payload: Uint8Array): Uint8Array {
  const rest = payload.length % FILL_BYTES
  if (rest === 0) return payload
  const filled = Buffer.alloc(payload.length + FILL_BYTES - rest, 0x20)
  filled.set(payload, 0)
  return filled
}

/** Checks that a caller's batch fits one append. EVENT_BATCH_TOO_LARGE. */
export function prepareBatch(drafts: readonly EventDraft[]): { events: PreparedEvent[]; bytes: number } {
  if (drafts.length === 0) throw new MeshError('EVENT_INVALID', 'a batch holds at least one event')
  if (drafts.length > LIMITS.appendEventsMax) {
    throw new MeshError(
      'EVENT_BATCH_TOO_LARGE',
      `a batch of ${drafts.length} events; at most ${LIMITS.appendEventsMax} fit`
    )
  }
  const events = drafts.map(prepareEvent)
  const bytes = events.reduce((sum, event) => sum + event.size, 0)
  if (bytes > LIMITS.appendBytesMax) {
    throw new MeshError('EVENT_BATCH_TOO_LARGE', `a batch of ${bytes} bytes; at most ${LIMITS.appendBytesMax} fit`)
  }
  return { events, bytes }
}

/** Builds and seals one append at `place`. */
export function buildAppend(
  mesh: Uint8Array,
  key: SigningKey,
  place: AppendPlace,
  events: readonly PreparedEvent[],
  stamp: () => Stamp,
  random: Random
): { head: Head; blocks: AppendBlocks; ids: readonly Buffer[] } {
  const salts = random.bytes(events.length * SALT_BYTES)
  const rows: AppendRowInput[] = events.map((event, index) => {
    const { ms, counter } = stamp()
    return {
      flags: event.flags,
      encoding: ENCODING_JSON,
      type: event.type,
      scope: isZero(event.scope) ? NO_SCOPE : asBuffer(event.scope),
      timeMs: ms,
      timeCounter: counter,
      salt: salts.subarray(index * SALT_BYTES, (index + 1) * SALT_BYTES),
      payload: event.payload
    }
  })
  const blocks = encodeBlocks(place, rows)
  const ids = eventIds(mesh, blocks)
  const head = sealStatement(statementOf(mesh, blocks, ids.at(-1) as Buffer), key)
  writeSeal(blocks, head.seal)
  return { head, blocks, ids }
}
