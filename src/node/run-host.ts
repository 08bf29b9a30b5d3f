// Tasks on one node in one mesh: the task engine with everything that a run needs – tools, rules, guard, judges, agents – and the requests
// that members send about them.

import { join } from 'node:path'
import { toHex, utf8 } from '../base/bytes.ts'
import { type Clock, systemRandom } from '../base/clock.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError, messageOf } from '../base/mesh-error.ts'
import { redactSecrets } from '../guard/redact.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import { localKey } from '../log/store-keys.ts'
import { type DailyBudget, openDailyBudget } from '../model/daily-budget.ts'
import { createJudgePanel, type NodeJudges } from '../model/judge-panel.ts'
import { createOfflineJudge, type OfflineJudge } from '../model/offline-judge.ts'
import { executeTask } from '../pipeline/execute-task.ts'
import type { AgentRunner, RunStart } from '../pipeline/run-contract.ts'
import type { RunEvent } from '../pipeline/run-events.ts'
import { createAgentRunner } from '../task/agent-loop.ts'
import { RemoteJudges } from '../task/remote-judges.ts'
import { TaskEngine } from '../task/task-engine.ts'
import type { TaskRunPorts } from '../task/task-ports.ts'
import type { MeshNode } from './create-node.ts'
import { ResultFolder } from './result-folder.ts'
import type { ToolHost } from './tool-host.ts'

/** Servers bring tools and agents.toml changes at any time; what is not new is not said again. */
const ANNOUNCE_EVERY_MS = 15_000
/** A judge's own time, and that of the vote on its way into the log. */
const JUDGE_ASK_MS = LIMITS.judgeTimeMsMax + 5_000
const BUDGET_KEY = localKey('model-budget')
/** Judging for other members; counted in the judges' own account too. */
const MEMBERS_ACCOUNT = 'judges:members'
/** Where the owner set no limit. */
const MEMBERS_CALLS_PER_DAY = 10_000

export class RunHost {
  readonly engine: TaskEngine
  readonly host: ToolHost
  readonly offlineJudge: OfflineJudge
  readonly #node: MeshNode
  readonly #budget: DailyBudget
  readonly #judges: NodeJudges
  readonly #remote: RemoteJudges
  readonly #agents: AgentRunner
  readonly #results: ResultFolder
  #announcing: NodeJS.Timeout | null = null

  private constructor(node: MeshNode, host: ToolHost, budget: DailyBudget, clock: Clock) {
    this.#node = node
    this.host = host
    this.#budget = budget
    this.#results = new ResultFolder(join(node.init.paths.home, 'results'))
    this.offlineJudge = createOfflineJudge({ guard: host.guard, redact: redactSecrets })
    this.#agents = createAgentRunner({ models: host.models, budget, guard: host.guard, clock })
    this.#remote = new RemoteJudges(
      node.log,
      (peer, method, params, signal) => node.requests.ask(peer, method, params, signal, JUDGE_ASK_MS),
      clock,
      {
        take: () => budget.take(MEMBERS_ACCOUNT, this.#membersBudget()),
        charge: (micros) => budget.charge(MEMBERS_ACCOUNT, micros)
      }
    )
    this.#judges = this.#panel(clock)
    this.engine = new TaskEngine({
      log: node.log,
      clock,
      random: systemRandom,
      logger: node.init.logger,
      timers: {
        set: (ms, run) => {
          const timer = setTimeout(run, ms).unref()
          return () => clearTimeout(timer)
        }
      },
      ask: (peer, method, params) => node.requests.ask(peer, method, params),
      connected: () => new Set(node.network.peers().map(({ peer }) => peer)),
      chainStatus: (author) => chainStatus(node, author),
      ownHeadConfirmed: () => node.state?.ownHeadConfirmed === true,
      memberRef: (key) => node.directory.ref(key),
      resolveMember: (text) => node.directory.resolve(text, node.log.view.members.keys()),
      execute: (ports, start, task) => executeTask(this.#runPorts(ports, start, clock), start, task, this.#agents),
      offer: () => this.#offer()
    })
  }

  static async open(node: MeshNode, host: ToolHost, clock: Clock): Promise<RunHost> {
    const stored = await node.log.store.get(BUDGET_KEY)
    const budget = openDailyBudget(
      {
        get: () => (stored === null ? null : Buffer.from(stored).toString('utf8')),
        set: (text) => node.log.store.write([{ type: 'put', key: BUDGET_KEY, value: utf8(text) }], { sync: true })
      },
      clock
    )
    return new RunHost(node, host, budget, clock)
  }

  async start(): Promise<void> {
    const { requests } = this.#node
    for (const method of ['task/claim', 'task/renew', 'task/offer'] as const) {
      requests.on(method, async (peer, params) => {
        const answer = await this.engine.request(peer, method, params)
        if ('error' in answer) throw new MeshError(answer.error, 'refused')
        return answer.result
      })
    }
    requests.on('judge/ask', (peer, params) => this.#remote.answer(peer, params, this.#judges))
    await this.engine.start()
    this.#announcing = setInterval(() => this.engine.announce(), ANNOUNCE_EVERY_MS).unref()
  }

  async stop(): Promise<void> {
    if (this.#announcing !== null) clearInterval(this.#announcing)
    await this.engine.stop()
  }

  #panel(clock: Clock): NodeJudges {
    const { log } = this.#node
    return createJudgePanel({
      self: log.self,
      seats: () => {
        const { judges } = this.host.models.section()
        return {
          models: judges.models.map((name) => this.host.models.model(name)),
          members: judges.remote.map((id) => judgeKey(id, log.view.members.keys())),
          budget: { callsPerDay: judges.budgetCallsPerDay, microsPerDay: judges.budgetMicrosPerDay }
        }
      },
      offline: this.offlineJudge,
      budget: this.#budget,
      askMember: (member, request, signal) => this.#remote.ask(member, request, signal),
      clock,
      random: systemRandom
    })
  }

  /** Half of the day's budget: the other half is for this node's own runs, whatever members ask. */
  #membersBudget(): { readonly callsPerDay: number | null; readonly microsPerDay: number | null } {
    const { budgetCallsPerDay, budgetMicrosPerDay } = this.host.models.section().judges
    const half = (limit: number | null): number | null => (limit === null ? null : Math.floor(limit / 2))
    return { callsPerDay: half(budgetCallsPerDay) ?? MEMBERS_CALLS_PER_DAY, microsPerDay: half(budgetMicrosPerDay) }
  }

  #runPorts(ports: TaskRunPorts, start: RunStart, clock: Clock) {
    const { host } = this
    const name = `${toHex(start.scope)}.${start.attempt}`
    return {
      ...ports,
      clock,
      random: systemRandom,
      guard: host.guard,
      policy: () => host.policy(),
      tools: host.box,
      judges: this.#judges,
      mayAffectOutside: () => this.#mayAffectOutside(),
      workspace: async (make: boolean) => (make ? await host.workspaces.prepare(name) : host.workspaces.place(name)),
      keepResult: (call: number, bytes: Uint8Array) => this.#results.keep(`${name}-${call}`, bytes)
    }
  }

  /** With an unfit marker nothing happens outside until another member has confirmed the own log. */
  #mayAffectOutside(): boolean {
    const node = this.#node
    const members = [...node.log.view.members.values()].filter(({ removal }) => removal === null)
    return members.length === 1 || node.markerFits || node.state?.ownHeadConfirmed === true
  }

  #offer(): RunEvent<'node-announced'> {
    const { host } = this
    let agents: string[] = []
    let judges = 0
    try {
      const section = host.models.section()
      agents = [...section.agents.keys()]
      judges = section.judges.models.length
    } catch (error) {
      this.#node.init.logger.warn('agents.toml is not usable', { message: messageOf(error) })
    }
    const tools = host.box.list().map(({ descriptor: { name, kind, tier, hash } }) => ({ name, kind, tier, hash }))
    const { script, wasm, command, line } = host.report
    return {
      tools: tools.slice(0, 256),
      agents: agents.slice(0, 64),
      judges,
      sandbox: { script: script.available, wasm: wasm.available, command: command.available, line: line.slice(0, 300) }
    }
  }
}

/** Of the newest epoch of the member's main chain. */
function chainStatus(node: MeshNode, author: PublicKeyHex) {
  const epochOf = (key: string): number => Number(key.split('/')[2])
  const chains = node.shell.replicator.status().chains.filter(({ key }) => key.startsWith(`${author}/0/`))
  return chains.toSorted((a, b) => epochOf(a.key) - epochOf(b.key)).at(-1) ?? null
}

/** By the whole peer id or key: whoever may choose the name that stands in agents.toml would judge. MEMBER_UNKNOWN. */
function judgeKey(id: string, members: Iterable<PublicKeyHex>): PublicKeyHex {
  for (const key of members) if (key === id || peerIdOf(key) === id) return key
  throw new MeshError('MEMBER_UNKNOWN', 'judges of members are named by their whole peer id', {
    details: { member: id }
  })
}
