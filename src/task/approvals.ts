// Approvals on this node: waits for votes where the run is here, and casts votes for runs anywhere (PROTOCOL §13). Requests and votes are events; here
// is nothing that a restart could lose. A vote is cast only on what this node computed itself from what it shows.

import { fromHex, toHex, utf8 } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { hasRight } from '../identity/certificate.ts'
import { queryEvents } from '../log/event-query.ts'
import { eventType, roleAtLeast } from '../log/event-types.ts'
import { grantAt } from '../log/mesh-fold.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import { callDigest } from '../pipeline/call-digest.ts'
import type { Recorded, RecordedCall } from '../pipeline/recorded-run.ts'
import type { ApprovalDecision, OpenRequest } from '../pipeline/run-contract.ts'
import { runEvent } from '../pipeline/run-events.ts'
import type { Principal } from '../policy/contract.ts'
import { tallyVotes } from './approval-decision.ts'
import type { TaskBook } from './task-book.ts'
import { newestEvent, readTaskEvents } from './task-events.ts'
import { foldTask, hasEnded, type TaskFold, undecidedRequest } from './task-fold.ts'
import type { TaskPorts } from './task-ports.ts'
import type { ApprovalRecord } from './task-records.ts'

export interface ApprovalsOptions extends TaskPorts {
  readonly book: TaskBook
}

/** One request where it stands. */
export interface RequestedCall {
  readonly task: TaskFold
  readonly call: RecordedCall
  readonly request: Recorded<'approval-requested'>
}

export class Approvals {
  readonly #options: ApprovalsOptions
  readonly #wakers = new Set<() => void>()

  constructor(options: ApprovalsOptions) {
    this.#options = options
  }

  /** Membership, the epoch or the confirmation of the own head have changed. */
  lookAgain(): void {
    for (const wake of this.#wakers) wake()
  }

  /** The executor's wait. Rejects with the signal's reason. */
  async waitFor(task: string, request: OpenRequest, signal: AbortSignal): Promise<ApprovalDecision> {
    for (;;) {
      signal.throwIfAborted()
      const decision = this.#decide(task, request)
      if (decision !== null) return decision
      await this.#change(task, request.expiresAtMs - this.#options.clock.now(), signal)
    }
  }

  /**
   * Denied and void before expired before approved: what comes at the last moment releases nothing. A request of before this start is waited for
   * only once its assignment may be consumed.
   */
  #decide(task: string, request: OpenRequest): ApprovalDecision | null {
    const { log, clock, book } = this.#options
    if (log.ownChain().epoch !== request.epoch) return { kind: 'void' }
    const fold = book.get(task)
    const tally = fold === null ? null : tallyVotes(request, fold.votes, fold.submitter, this.isMember)
    const votes = tally?.counted.map(({ id }) => id) ?? []
    if (tally?.decision === 'denied') return { kind: 'denied', votes }
    if (clock.now() >= request.expiresAtMs) return { kind: 'expired' }
    return tally?.decision === 'approved' ? { kind: 'approved', votes } : null
  }

  readonly isMember = (key: PublicKeyHex): boolean => this.#options.log.view.members.get(key)?.removal === null

  /** Until the task changes, `ms` are over, or the signal aborts. */
  #change(task: string, ms: number, signal: AbortSignal): Promise<void> {
    const { book, timers } = this.#options
    return new Promise((resolve) => {
      const done = (): void => {
        unlisten()
        cancel()
        this.#wakers.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      const unlisten = book.onChange((fold) => {
        if (fold.id === task) done()
      })
      const cancel = timers.set(Math.max(1, Math.min(ms, TIMER_MS_MAX)), done)
      this.#wakers.add(done)
      signal.addEventListener('abort', done)
    })
  }

  /** Every request of the open tasks; with `all`, those of the newest closed ones too. Oldest first. */
  async requests(all: boolean): Promise<RequestedCall[]> {
    const { log, book } = this.#options
    const ids = new Set(book.open().flatMap((fold) => (requestsOf(fold).length > 0 ? [fold.id] : [])))
    if (all) {
      let rows = 0
      for await (const { scope } of queryEvents(log, { type: 'approval-requested', newestFirst: true })) {
        if (++rows > CLOSED_SHOWN_MAX) break
        ids.add(toHex(scope))
      }
    }
    const requests: RequestedCall[] = []
    for (const id of ids) {
      const task = await this.#read(id)
      if (task !== null) requests.push(...requestsOf(task))
    }
    const shown = all ? requests : requests.filter((request) => this.stateOf(request) === 'open')
    return shown.sort((a, b) => a.request.timeMs - b.request.timeMs || (a.request.id < b.request.id ? -1 : 1))
  }

  /** By the request's id or an unambiguous beginning of it. APPROVAL_UNKNOWN; APPROVAL_CLOSED for one of an earlier attempt. */
  async find(id: string): Promise<RequestedCall> {
    const wanted = id.toLowerCase()
    if (!/^[0-9a-f]{4,64}$/.test(wanted)) throw new MeshError('APPROVAL_UNKNOWN', 'there is no such request')
    const open = this.#options.book.open().flatMap(requestsOf)
    const found = open.filter(({ request }) => request.id.startsWith(wanted))
    if (found.length > 1) throw new MeshError('APPROVAL_UNKNOWN', 'several requests begin like that')
    const task = found[0]?.task.id ?? (await this.#taskOfRequest(wanted))
    const fold = task === null ? null : await this.#read(task)
    const request = fold === null ? undefined : requestsOf(fold).find((other) => other.request.id.startsWith(wanted))
    if (fold === null) throw new MeshError('APPROVAL_UNKNOWN', 'there is no such request')
    if (request === undefined) throw new MeshError('APPROVAL_CLOSED', 'the request is not of the attempt that counts')
    return request
  }

  async #taskOfRequest(id: string): Promise<string | null> {
    const { log } = this.#options
    const matches = (event: { readonly id: Uint8Array }): boolean => toHex(event.id).startsWith(id)
    const event = await newestEvent(log, { type: 'approval-requested' }, matches, LIMITS.pageRowsMax)
    return event === null ? null : toHex(event.scope)
  }

  async #read(id: string): Promise<TaskFold | null> {
    return foldTask(id, await readTaskEvents(this.#options.log, fromHex(id)))
  }

  /** By this node's clock, for people; what counts is what the executor says. */
  stateOf({ task, call, request }: RequestedCall): ApprovalRecord['state'] {
    if (call.started !== null) return call.started.request === request.id ? 'used' : 'void'
    const { decision } = tallyVotes(request, task.votes, task.submitter, this.isMember)
    if (decision === 'denied') return 'denied'
    const expired = this.#options.clock.now() >= request.expiresAtMs
    if (undecidedRequest(call)?.id !== request.id || hasEnded(task.state) || task.run?.finished != null) {
      const verdict = call.stages.find(({ stage }) => stage === 'approval')
      return verdict?.rule === 'expired' || (expired && call.requests.at(-1)?.id === request.id) ? 'expired' : 'void'
    }
    if (expired) return 'expired'
    if (request.epoch < this.#newestEpoch(task.run?.executor ?? '')) return 'void'
    return decision
  }

  #newestEpoch(author: PublicKeyHex): number {
    const { log } = this.#options
    let newest = 1
    for (const chain of log.chains.values())
      if (chain.author === author && chain.chain === 0 && chain.tips.length > 0) newest = Math.max(newest, chain.epoch)
    return newest
  }

  /** The digest of what this node shows; null while a part of it is not here. */
  recompute({ task, call, request }: RequestedCall): string | null {
    const { proposed, argumentText } = call
    if (proposed === null || argumentText === null || task.run === null) return null
    return callDigest({
      mesh: this.#options.log.mesh,
      executor: task.run.executor,
      epoch: request.epoch,
      task: task.id,
      attempt: request.attempt,
      call: request.call,
      tool: proposed.tool,
      toolHash: proposed.toolHash,
      workspace: proposed.workspace,
      profile: proposed.profile,
      expiresAtMs: request.expiresAtMs,
      nonce: proposed.nonce,
      argumentBytes: utf8(argumentText)
    })
  }

  /** Why this node may not vote on the request; '' when it may. */
  mayNotBecause(requested: RequestedCall): string {
    const state = this.stateOf(requested)
    if (state !== 'open') return `the request is ${state}`
    return this.#lackOfRight() ?? (this.#hasVoted(requested, 'approve') ? 'this node has voted' : '')
  }

  #lackOfRight(): string | null {
    const { log } = this.#options
    const { epoch, tips } = log.ownChain()
    const grant = grantAt(log.view, { author: log.self, chain: 0, epoch, seq: (tips[0]?.lastSeq ?? 0) + 1 })
    const least = eventType('approval-voted')?.role ?? 'admin'
    const mayVote = grant !== null && roleAtLeast(grant.role, least) && hasRight(grant.rights, 'approve')
    return mayVote ? null : 'this node lacks the right to approve'
  }

  #hasVoted({ task, request }: RequestedCall, vote: 'approve' | 'deny'): boolean {
    const { self } = this.#options.log
    return task.votes.some(
      (cast) =>
        cast.voter === self &&
        cast.request === request.id &&
        cast.digest === request.digest &&
        cast.principal === 'owner' &&
        cast.vote === vote
    )
  }

  /**
   * Votes on a request; who approved may still deny until it is used. `digest`: the one that the person was shown. APPROVAL_UNKNOWN,
   * APPROVAL_FORBIDDEN, APPROVAL_CLOSED, APPROVAL_EXPIRED; APPROVAL_DIGEST_MISMATCH when the digest is not that of what this node shows, or
   * not all of it is here.
   */
  async vote(id: string, vote: 'approve' | 'deny', digest: string, principal: Principal): Promise<RequestedCall> {
    if (principal !== 'owner') throw new MeshError('APPROVAL_FORBIDDEN', `a vote of ${principal} never counts`)
    const lack = this.#lackOfRight()
    if (lack !== null) throw new MeshError('APPROVAL_FORBIDDEN', lack)
    const requested = await this.find(id)
    const { task, request } = requested
    const state = this.stateOf(requested)
    if (state === 'expired') throw new MeshError('APPROVAL_EXPIRED', 'the request has expired')
    const open = state === 'open' || (state === 'approved' && vote === 'deny')
    if (!open) throw new MeshError('APPROVAL_CLOSED', `the request is ${state}`)
    if (this.#hasVoted(requested, vote)) throw new MeshError('APPROVAL_CLOSED', 'this node has voted')
    const recomputed = this.recompute(requested)
    if (recomputed === null || recomputed !== request.digest || digest !== request.digest)
      throw new MeshError('APPROVAL_DIGEST_MISMATCH', 'the digest is not that of the call that this node shows')
    const payload = { request: request.id, digest: request.digest, vote, principal, after: [request.id] }
    await this.#options.log.append([runEvent('approval-voted', payload, fromHex(task.id))])
    return this.find(request.id)
  }
}

const TIMER_MS_MAX = 3_600_000
const CLOSED_SHOWN_MAX = 200

/** Requests of the attempt that counts, of its executor alone. */
export function requestsOf(task: TaskFold): RequestedCall[] {
  return [...(task.run?.calls.values() ?? [])].flatMap((call) =>
    call.requests.map((request) => ({ task, call, request }))
  )
}
