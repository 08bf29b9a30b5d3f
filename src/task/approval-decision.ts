// What a set of votes comes to (PROTOCOL §13, APPROVE-5): a pure function, so that copies, ties and late votes cannot matter. Any deny beats
// approves. Only different members count, who are members still, voted as owners on this very request and this very digest.

import type { PublicKeyHex } from '../log/statement.ts'
import type { CastVote } from './task-fold.ts'

export interface VotedRequest {
  readonly id: string
  readonly digest: string
  readonly votes: number
  readonly anotherKey: boolean
}

export interface VoteTally {
  readonly decision: 'open' | 'approved' | 'denied'
  /** Of each member that counts, its first vote of the kind that counts; by voter. */
  readonly counted: readonly CastVote[]
}

/** `isMember`: not removed. The right to vote is part of what makes a vote authorised, so it is not asked again here. */
export function tallyVotes(
  request: VotedRequest,
  votes: readonly CastVote[],
  submitter: PublicKeyHex,
  isMember: (key: PublicKeyHex) => boolean
): VoteTally {
  const valid = votes.filter(
    (vote) =>
      vote.request === request.id &&
      vote.digest === request.digest &&
      vote.principal === 'owner' &&
      isMember(vote.voter)
  )
  const denials = firstOfEach(valid.filter(({ vote }) => vote === 'deny'))
  if (denials.length > 0) return { decision: 'denied', counted: denials }
  const approvals = firstOfEach(valid.filter(({ vote }) => vote === 'approve'))
  const enough = approvals.length >= request.votes
  const another = !request.anotherKey || approvals.some(({ voter }) => voter !== submitter)
  return { decision: enough && another ? 'approved' : 'open', counted: approvals }
}

function firstOfEach(votes: readonly CastVote[]): CastVote[] {
  const first = new Map<PublicKeyHex, CastVote>()
  for (const vote of votes) if (!first.has(vote.voter)) first.set(vote.voter, vote)
  return [...first.values()].sort((a, b) => (a.voter < b.voter ? -1 : 1))
}
