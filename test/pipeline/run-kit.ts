// A run on a real log, with real rules, guard, schemas and offline judge; the test says what the tool does and who answers.

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { toHex, utf8 } from '../../src/base/bytes.ts'
import { systemClock, systemRandom } from '../../src/base/clock.ts'
import { createPatternGuard } from '../../src/guard/pattern-guard.ts'
import type { EventDraft } from '../../src/log/append-builder.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { queryEvents } from '../../src/log/event-query.ts'
import type { LoggedEvent } from '../../src/log/logged-event.ts'
import type { JudgePanel, Tool, ToolDescriptor, ToolInvocation, ToolOutcome } from '../../src/pipeline/contract.ts'
import { executeTask, type TaskWork } from '../../src/pipeline/execute-task.ts'
import { foldRun, type RecordedRun, type TaskEvent } from '../../src/pipeline/recorded-run.ts'
import type {
  AgentRunner,
  ApprovalDecision,
  OpenRequest,
  RunEnd,
  RunPorts,
  RunStart
} from '../../src/pipeline/run-contract.ts'
import { parsePolicy } from '../../src/policy/policy-file.ts'
import { founded, testMesh } from '../log/log-kit.ts'

export const ALLOW_ALL = 'mode = "rules"\n\n[[rule]]\nid = "all"\neffect = "allow"\ntool = "*"\n'

export function outcome(text: string | Uint8Array, extra: Partial<ToolOutcome> = {}): ToolOutcome {
  const output = typeof text === 'string' ? utf8(text) : text
  return {
    status: 'ok',
    output,
    truncated: false,
    exitCode: null,
    signal: null,
    code: null,
    message: '',
    changes: [],
    ...extra
  }
}

export interface TestTool extends Tool {
  /** What it was called with. */
  readonly calls: ToolInvocation[]
}

const HASH = 'ab'.repeat(32)

export function testTool(
  run: (invocation: ToolInvocation) => ToolOutcome | Promise<ToolOutcome>,
  descriptor: Partial<ToolDescriptor> = {}
): TestTool {
  const calls: ToolInvocation[] = []
  return {
    calls,
    descriptor: {
      name: 'probe',
      kind: 'builtin',
      description: 'A tool of the test.',
      descriptionUntrusted: false,
      parameters: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
      tier: 'read-only',
      hash: HASH,
      profile: HASH,
      taints: null,
      limits: { timeMs: 2_000, memoryBytes: 1 << 26, outputBytes: 2 << 20, processes: 4, fileBytes: 1 << 20 },
      ...descriptor
    },
    touches: () => ({ paths: [], hosts: [], argv: null }),
    run: async (invocation) => {
      calls.push(invocation)
      return run(invocation)
    }
  }
}

export const SAFE_PANEL: JudgePanel = {
  immediate: true,
  judge: async (request) => ({
    verdict: 'safe',
    reason: 'safe',
    votes: Array.from({ length: request.judges }, () => ({
      judge: 'offline',
      offline: true,
      member: testMesh().alice.publicKeyHex,
      verdict: 'safe' as const,
      confidence: 1,
      reason: 'safe',
      durationMs: 0,
      usage: null
    }))
  })
}

export interface KitOptions {
  readonly tools: readonly Tool[]
  readonly policy?: string
  readonly ports?: Partial<RunPorts>
  readonly start?: Partial<RunStart>
  readonly answer?: (request: OpenRequest, signal: AbortSignal) => Promise<ApprovalDecision>
  readonly agents?: AgentRunner
}

export class RunKit {
  readonly log: EventLog
  readonly scope = randomBytes(16)
  readonly requests: OpenRequest[] = []
  readonly kept = new Map<string, Uint8Array>()
  readonly folder: string
  readonly #options: KitOptions

  constructor(log: EventLog, folder: string, options: KitOptions) {
    this.log = log
    this.folder = folder
    this.#options = options
  }

  static async open(context: TestContext, options: KitOptions): Promise<RunKit> {
    const folder = mkdtempSync(join(tmpdir(), 'pmesh-run-'))
    const log = await founded(testMesh(), { clock: systemClock, random: systemRandom })
    context.after(async () => {
      await log.close()
      rmSync(folder, { recursive: true, force: true })
    })
    return new RunKit(log, folder, options)
  }

  async append(drafts: readonly EventDraft[]): Promise<readonly string[]> {
    return (await this.log.append(drafts)).map(({ id }) => toHex(id))
  }

  ports(): RunPorts {
    const { tools, policy = ALLOW_ALL, answer, ports } = this.#options
    const sorted = [...tools].sort((a, b) => (a.descriptor.name < b.descriptor.name ? -1 : 1))
    return {
      clock: systemClock,
      random: systemRandom,
      guard: createPatternGuard(),
      policy: () => parsePolicy(policy, 'policy.toml'),
      tools: { list: () => sorted, get: (name) => sorted.find((tool) => tool.descriptor.name === name) ?? null },
      judges: SAFE_PANEL,
      append: (drafts) => this.append(drafts),
      approval: async (request, signal) => {
        this.requests.push(request)
        return answer === undefined ? { kind: 'expired' } : answer(request, signal)
      },
      mayStart: async () => true,
      mayAffectOutside: () => true,
      policyRecorded: () => false,
      workspace: async () => this.folder,
      keepResult: async (call, bytes) => {
        const name = `result-${call}`
        this.kept.set(name, bytes)
        return name
      },
      onText: () => undefined,
      ...ports
    }
  }

  start(recorded: RecordedRun, signal: AbortSignal): RunStart {
    const mesh = testMesh()
    return {
      mesh: mesh.id,
      executor: mesh.alice.publicKeyHex,
      epoch: 1,
      scope: this.scope,
      attempt: 1,
      submitter: { name: 'alice', peerId: '12D3KooWalice', self: true },
      principal: 'owner',
      tierMax: 'irreversible',
      taint: [],
      recorded,
      signal,
      ...this.#options.start
    }
  }

  /** Runs a task on what the log holds of it already. */
  async execute(
    task: Partial<TaskWork>,
    signal: AbortSignal = new AbortController().signal,
    ports = this.ports()
  ): Promise<RunEnd> {
    const work: TaskWork = { kind: 'tool', name: 'probe', input: '{"text":"hello"}', history: [], ...task }
    const recorded = foldRun(await this.events(), testMesh().alice.publicKeyHex, 1)
    return executeTask(ports, this.start(recorded, signal), work, this.#options.agents ?? null)
  }

  async fold(): Promise<RecordedRun> {
    return foldRun(await this.events(), testMesh().alice.publicKeyHex, 1)
  }

  async events(): Promise<(TaskEvent & LoggedEvent)[]> {
    const { store, reader, state } = this.log
    const events: (TaskEvent & LoggedEvent)[] = []
    for await (const event of queryEvents({ store, reader, state }, { scope: this.scope }))
      events.push({ ...event, id: toHex(event.id), timeMs: event.stamp.ms } as unknown as TaskEvent & LoggedEvent)
    return events.sort((a, b) => a.epoch - b.epoch || a.seq - b.seq)
  }

  /** Every payload byte that the log holds of the run. */
  async bytes(): Promise<string> {
    return (await this.events()).map(({ payload }) => Buffer.from(payload ?? []).toString('utf8')).join('\n')
  }
}
