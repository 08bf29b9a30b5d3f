// Controls of tasks over the mesh: who runs what, how often, and who allowed it.

import type { Mutant } from '../mutants.ts'

export const TASK_MUTANTS: readonly Mutant[] = [
  {
    id: 'TASK-1',
    what: 'an assigned task is given to the next who asks',
    file: 'src/task/submitter.ts',
    find: 'if (assigned !== null && !this.#reopened.has(task))',
    replace: 'if (assigned !== null && assigned.executor === peer && !this.#reopened.has(task))'
  },
  {
    id: 'TASK-1',
    what: 'claims of one task are not handled one after another',
    file: 'src/task/keyed-lock.ts',
    find: 'await before\n',
    replace: 'before.catch(() => undefined)\n'
  },
  {
    id: 'TASK-1',
    what: 'a task for one member goes to any',
    file: 'src/task/submitter.ts',
    find: "if (fold.submitted.on !== 'any' && fold.submitted.on !== peer)",
    replace: "if (fold.submitted.on === '')"
  },
  {
    id: 'TASK-1',
    what: 'observers and strangers get tasks',
    file: 'src/task/submitter.ts',
    find: "if (!hasRoleNow(log, peer, 'member')) throw new MeshError('MEMBER_FORBIDDEN', 'only members run tasks')",
    replace: 'hasRoleNow'
  },
  {
    id: 'TASK-1',
    what: 'a task above internal is opened again when its lease is over',
    file: 'src/task/submitter.ts',
    find: 'if (isInside(submitted.tierMax)) return true',
    replace: "if (isInside(submitted.tierMax) || submitted.tierMax === 'irreversible') return true"
  },
  {
    id: 'TASK-1',
    what: 'a beacon of before the end of the lease counts',
    file: 'src/task/submitter.ts',
    find: '|| beaconMs <= watch.lease.executorEndMs)',
    replace: ')'
  },
  {
    id: 'TASK-1',
    what: 'a task is opened again although an outside effect was allowed',
    file: 'src/task/task-fold.ts',
    find: 'return [...run.calls.values()].every(({ started }) => started === null || isInside(started.tier))',
    replace: 'return run.attempt > 0'
  },
  {
    id: 'TASK-1',
    what: 'a run that a crash broke off waits for its submitter, and its agent goes on',
    file: 'src/task/task-run.ts',
    find: 'if (mine && this.#task.run !== null && openEffects(this.#task.run).length > 0) return this.#closeBroken()',
    replace: ''
  },
  {
    id: 'TASK-1',
    what: 'an agent’s effect above internal that a crash broke off reads interrupted',
    file: 'src/task/task-run.ts',
    find: "unknown ? 'unknown' : 'interrupted', 'node-ended-in-between'",
    replace: "unknown ? 'interrupted' : 'interrupted', 'node-ended-in-between'"
  },
  {
    id: 'TASK-1',
    what: 'the lease counts monotonic time alone',
    file: 'src/task/lease.ts',
    find: 'Math.max(this.#clock.monotonic() - this.#sentMonotonicMs, this.#clock.now() - this.#sentMs)',
    replace: 'this.#clock.monotonic() - this.#sentMonotonicMs'
  },
  {
    id: 'TASK-1',
    what: 'an effect goes on behind the end of its lease',
    file: 'src/task/task-run.ts',
    find: "if (remainingMs <= 0 && this.#effects.size > 0) return this.#end('LEASE_LOST', 'the lease is over')",
    replace: ''
  },
  {
    id: 'TASK-1',
    what: 'a call begins whatever is left of the lease',
    file: 'src/task/task-run.ts',
    find: 'if (this.#lease !== null && this.#lease.remainingMs() > ms) return true',
    replace: 'if (this.#lease !== null) return true'
  },
  {
    id: 'TASK-1',
    what: 'a submitter that restarts takes assigned tasks for free ones',
    file: 'src/task/submitter.ts',
    find: 'if (over || assigned === null || (watch !== undefined && watch.attempt !== assigned.attempt)) {',
    replace:
      'if (watch === undefined && assigned !== null && !over) this.#reopened.add(fold.id)\n    if (over || assigned === null || (watch !== undefined && watch.attempt !== assigned.attempt)) {'
  },
  {
    id: 'TASK-1',
    what: 'assignments are consumed before the own head is confirmed',
    file: 'src/task/freshness.ts',
    find: 'return this.#confirmed() || this.#own.has(id)',
    replace: 'return id.length > 0'
  },
  {
    id: 'TASK-1',
    what: 'a cancelled run goes on',
    file: 'src/task/task-run.ts',
    find: "if (fold.cancelled !== null) this.#end('CANCELLED',",
    replace: "if (fold.id === '') this.#end('CANCELLED',"
  },
  {
    id: 'TASK-1',
    what: 'a task has no end',
    file: 'src/task/submitter.ts',
    find: "if (fold !== null && this.#hasExpired(fold)) await this.#cancel(fold, 'expired')",
    replace: 'if (fold !== null) this.#hasExpired(fold)'
  },
  {
    id: 'TASK-1',
    what: 'another member cancels a task',
    file: 'src/task/submitter.ts',
    find: "if (fold.submitter !== log.self) throw new MeshError('TASK_NOT_YOURS', 'another member submitted the task')",
    replace: ''
  },
  {
    id: 'TASK-2',
    what: 'the lowest attempt decides',
    file: 'src/task/task-fold.ts',
    find: 'const assigned = assignments.at(-1) ?? null',
    replace: 'const assigned = assignments[0] ?? null'
  },
  {
    id: 'TASK-2',
    what: 'anybody assigns and cancels',
    file: 'src/task/task-fold.ts',
    find: 'const own = sorted.filter(({ author }) => author === submitter)',
    replace: 'const own = sorted.filter(({ author }) => author.length === submitter.length)'
  },
  {
    id: 'TASK-2',
    what: 'the scope is not that of its author',
    file: 'src/task/task-fold.ts',
    find: "submitted !== null && taskScope(event.author, submitted.nonce).toString('hex') === id",
    replace: 'submitted !== null && id.length > 0'
  },
  {
    id: 'TASK-2',
    what: 'events of a task are folded as they arrived',
    file: 'src/task/task-fold.ts',
    find: 'const sorted = [...events].sort(inChainOrder)',
    replace: 'const sorted = [...events]'
  },
  {
    id: 'APPROVE-1',
    what: 'the digest is not computed from what is shown',
    file: 'src/task/approvals.ts',
    find: 'if (recomputed === null || recomputed !== request.digest || digest !== request.digest)',
    replace: 'if (digest !== request.digest)'
  },
  {
    id: 'APPROVE-1',
    what: 'the digest that the person was shown is not looked at',
    file: 'src/task/approvals.ts',
    find: 'if (recomputed === null || recomputed !== request.digest || digest !== request.digest)',
    replace: 'if (recomputed === null || recomputed !== request.digest)'
  },
  {
    id: 'APPROVE-1',
    what: 'a vote for another digest counts',
    file: 'src/task/approval-decision.ts',
    find: 'vote.digest === request.digest',
    replace: 'vote.digest.length > 0'
  },
  {
    id: 'APPROVE-2',
    what: 'an approval has no end',
    file: 'src/task/approvals.ts',
    find: "if (clock.now() >= request.expiresAtMs) return { kind: 'expired' }",
    replace: ''
  },
  {
    id: 'APPROVE-2',
    what: 'an old approval is used before the own head is confirmed',
    file: 'src/task/executor.ts',
    find: 'if (!freshness.usable(mine ? fold.assigned.id : fold.submitted.id)) return false',
    replace: ''
  },
  {
    id: 'APPROVE-2',
    what: 'a new epoch leaves requests open',
    file: 'src/task/approvals.ts',
    find: "if (log.ownChain().epoch !== request.epoch) return { kind: 'void' }",
    replace: ''
  },
  {
    id: 'APPROVE-3',
    what: 'votes of agents and tokens count',
    file: 'src/task/approval-decision.ts',
    find: "vote.principal === 'owner'",
    replace: 'vote.principal.length > 0'
  },
  {
    id: 'APPROVE-3',
    what: 'agents and tokens vote',
    file: 'src/task/approvals.ts',
    find: "if (principal !== 'owner') throw",
    replace: 'if (principal.length === 0) throw'
  },
  {
    id: 'APPROVE-3',
    what: 'votes of removed members count',
    file: 'src/task/approvals.ts',
    find: 'readonly isMember = (key: PublicKeyHex): boolean => this.#options.log.view.members.get(key)?.removal === null',
    replace: 'readonly isMember = (key: PublicKeyHex): boolean => key.length > 0'
  },
  {
    id: 'APPROVE-3',
    what: 'the owner’s own key is enough where another is demanded',
    file: 'src/task/approval-decision.ts',
    find: 'approvals.some(({ voter }) => voter !== submitter)',
    replace: 'approvals.length > 0'
  },
  {
    id: 'APPROVE-4',
    what: 'a denial is not heard',
    file: 'src/task/approval-decision.ts',
    find: "if (denials.length > 0) return { decision: 'denied', counted: denials }",
    replace: ''
  },
  {
    id: 'APPROVE-5',
    what: 'one member’s votes count twice',
    file: 'src/task/approval-decision.ts',
    find: 'if (!first.has(vote.voter)) first.set(vote.voter, vote)',
    replace: 'first.set(vote.id, vote)'
  },
  {
    id: 'APPROVE-5',
    what: 'one vote is enough for all',
    file: 'src/task/approval-decision.ts',
    find: 'approvals.length >= request.votes',
    replace: 'approvals.length >= 1'
  },
  {
    id: 'REPLAY-2',
    what: 'a run begins anew after a restart',
    file: 'src/task/task-run.ts',
    find: 'await this.#execute(fold, fold.run ?? recorded)',
    replace: 'await this.#execute(fold, recorded)'
  }
]
