// A run as its events tell it: a pure fold of one executor's events of one attempt. Resuming, replaying and showing all read this.
// The first event of a kind counts; what comes again changes nothing.

import type { PublicKeyHex } from '../log/statement.ts'
import { RUN_EVENTS, type RunEvent, type RunEventType, type Stage, tryParseRunEvent } from './run-events.ts'

/** One authorised event of a task, from any member. */
export interface TaskEvent {
  /** Hex. */
  readonly id: string
  readonly author: PublicKeyHex
  readonly epoch: number
  readonly seq: number
  readonly timeMs: number
  readonly type: string
  /** Null when erased. */
  readonly payload: Uint8Array | null
}

export type Recorded<Type extends RunEventType> = RunEvent<Type> & { readonly id: string; readonly timeMs: number }

export interface RecordedCall {
  readonly call: number
  proposed: Recorded<'call-proposed'> | null
  /** What goes on behind the guardrail; null until every piece is there. */
  argumentText: string | null
  /** As it was given, where the guardrail changed or blocked it. */
  givenText: string | null
  readonly stages: Recorded<'stage-decided'>[]
  readonly explanations: Map<Stage, string>
  /** Requests of this call, oldest first: another is made when the one before is void. */
  readonly requests: Recorded<'approval-requested'>[]
  started: Recorded<'tool-started'> | null
  /** What the judges let pass; null until every piece is there. */
  output: string | null
  /** The file of the run that holds a longer result. */
  outputFile: RunEvent<'tool-output'>['file']
  finished: Recorded<'tool-finished'> | null
  readonly changes: RunEvent<'file-changed'>['changes'][number][]
  /** Of the executor alone; votes of other members are theirs to fold. */
  readonly judgeVotes: Recorded<'judge-voted'>[]
  audit: Recorded<'call-recorded'> | null
}

export interface RecordedMessage {
  readonly index: number
  readonly role: RunEvent<'message-added'>['role']
  readonly calls: RunEvent<'message-added'>['calls']
  readonly text: string
  /** Of a conversation: another member ran it, and wrote what stands here. */
  readonly elsewhere?: boolean
}

export interface RecordedRun {
  readonly executor: PublicKeyHex
  readonly attempt: number
  started: Recorded<'run-started'> | null
  readonly calls: Map<number, RecordedCall>
  messages: readonly RecordedMessage[]
  readonly models: Recorded<'model-called'>[]
  finished: Recorded<'run-finished'> | null
}

const payloads = new WeakMap<TaskEvent, object | null>()

/** The payload of an event of that type, read once; null when it does not fit. */
export function payloadOf<Type extends RunEventType>(event: TaskEvent, type: Type): RunEvent<Type> | null {
  if (event.type !== type) return null
  let payload = payloads.get(event)
  if (payload === undefined) {
    payload = tryParseRunEvent(type, event.payload)
    payloads.set(event, payload)
  }
  return payload as RunEvent<Type> | null
}

/** Events of `executor` for `attempt`, in any order. */
export function foldRun(events: Iterable<TaskEvent>, executor: PublicKeyHex, attempt: number): RecordedRun {
  const own = [...events].filter((event) => event.author === executor)
  own.sort((a, b) => a.epoch - b.epoch || a.seq - b.seq)
  const fold = new RunFold({
    executor,
    attempt,
    started: null,
    calls: new Map(),
    messages: [],
    models: [],
    finished: null
  })
  for (const event of own) fold.add(event)
  return fold.finish()
}

class RunFold {
  readonly #run: RecordedRun
  readonly #arguments = new Map<number, Pieces>()
  readonly #given = new Map<number, Pieces>()
  readonly #outputs = new Map<number, Pieces>()
  readonly #messages = new Map<number, Pieces & { first: RunEvent<'message-added'> }>()

  constructor(run: RecordedRun) {
    this.#run = run
  }

  add(event: TaskEvent): void {
    const { type } = event
    if (!Object.hasOwn(RUN_EVENTS, type)) return
    const payload = payloadOf(event, type as RunEventType) as { attempt?: number; call?: number } | null
    if (payload === null || payload.attempt !== this.#run.attempt) return
    const entry = { ...payload, id: event.id, timeMs: event.timeMs }
    if (payload.call === undefined) this.#addToRun(type, entry as never)
    else this.#addToCall(this.#call(payload.call), type, entry as never)
  }

  finish(): RecordedRun {
    const run = this.#run
    for (const [number, pieces] of this.#arguments) this.#call(number).argumentText = joined(pieces)
    for (const [number, pieces] of this.#given) this.#call(number).givenText = joined(pieces)
    for (const [number, pieces] of this.#outputs) this.#call(number).output = joined(pieces)
    const messages: RecordedMessage[] = []
    for (const [index, pieces] of [...this.#messages].sort(([a], [b]) => a - b)) {
      const text = joined(pieces)
      if (text !== null) messages.push({ index, role: pieces.first.role, calls: pieces.first.calls, text })
    }
    run.messages = messages
    return run
  }

  #call(number: number): RecordedCall {
    let call = this.#run.calls.get(number)
    if (call === undefined) {
      call = {
        call: number,
        proposed: null,
        argumentText: null,
        givenText: null,
        stages: [],
        explanations: new Map(),
        requests: [],
        started: null,
        output: null,
        outputFile: null,
        finished: null,
        changes: [],
        judgeVotes: [],
        audit: null
      }
      this.#run.calls.set(number, call)
    }
    return call
  }

  #addToRun(type: string, entry: never): void {
    const run = this.#run
    if (type === 'run-started') run.started ??= entry
    else if (type === 'run-finished') run.finished ??= entry
    else if (type === 'model-called') run.models.push(entry)
    else if (type === 'message-added') {
      const message: RunEvent<'message-added'> = entry
      const pieces = this.#messages.get(message.index) ?? { parts: message.parts, texts: new Map(), first: message }
      this.#messages.set(message.index, pieces)
      addPiece(pieces, message)
    }
  }

  #addToCall(call: RecordedCall, type: string, entry: never): void {
    switch (type) {
      case 'call-proposed':
        call.proposed ??= entry
        break
      case 'call-arguments': {
        const { form }: RunEvent<'call-arguments'> = entry
        const all = form === 'final' ? this.#arguments : this.#given
        addPiece(
          piecesOf(all, call.call, entry, () => ({})),
          entry
        )
        break
      }
      case 'stage-decided':
        addStage(call, entry)
        break
      case 'stage-explained': {
        const { stage, text }: RunEvent<'stage-explained'> = entry
        if (!call.explanations.has(stage)) call.explanations.set(stage, text)
        break
      }
      case 'approval-requested':
        call.requests.push(entry)
        break
      case 'tool-started':
        call.started ??= entry
        break
      case 'tool-output': {
        const { file }: RunEvent<'tool-output'> = entry
        call.outputFile ??= file
        addPiece(
          piecesOf(this.#outputs, call.call, entry, () => ({})),
          entry
        )
        break
      }
      case 'file-changed':
        call.changes.push(...(entry as RunEvent<'file-changed'>).changes)
        break
      case 'tool-finished':
        call.finished ??= entry
        break
      case 'judge-voted':
        call.judgeVotes.push(entry)
        break
      case 'call-recorded':
        call.audit ??= entry
    }
  }
}

/** One verdict per stage and subject: the first. Descriptions are of several tools. */
function addStage(call: RecordedCall, decided: Recorded<'stage-decided'>): void {
  const known = call.stages.some(({ stage, subject }) => stage === decided.stage && subject === decided.subject)
  if (!known || decided.subject === 'description') call.stages.push(decided)
}

interface Pieces {
  readonly parts: number
  readonly texts: Map<number, string>
}
interface Piece {
  readonly part: number
  readonly parts: number
  readonly text: string
}

function piecesOf<Extra>(
  all: Map<number, Pieces & Extra>,
  number: number,
  piece: Piece,
  extra: () => Extra
): Pieces & Extra {
  let pieces = all.get(number)
  if (pieces === undefined) {
    pieces = { parts: piece.parts, texts: new Map(), ...extra() }
    all.set(number, pieces)
  }
  return pieces
}

function addPiece(pieces: Pieces, { part, text }: Piece): void {
  if (part < pieces.parts && !pieces.texts.has(part)) pieces.texts.set(part, text)
}

function joined({ parts, texts }: Pieces): string | null {
  if (texts.size < parts) return null
  let text = ''
  for (let part = 0; part < parts; part++) text += texts.get(part) ?? ''
  return text
}
