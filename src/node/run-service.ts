// The part of the local API that is about tasks, on whatever node the runtime runs at the moment.

import { MeshError, messageOf } from '../base/mesh-error.ts'
import type { Tool } from '../pipeline/contract.ts'
import { describedBadly, guardFacts } from '../pipeline/stages/guardrail.ts'
import { compileArguments } from '../policy/argument-schema.ts'
import type { Taint } from '../policy/contract.ts'
import type { MeshNode } from './create-node.ts'
import type { NodeRuntime } from './node-service.ts'
import type { PolicyExplanation, PolicyView, RunApi, ToolRecord } from './run-api.ts'
import { replayFromLog } from './run-replay.ts'

const AGENT_TEST_MS = 60_000

export function runApiOf(runtime: NodeRuntime): RunApi {
  const engine = () => runtime.node.run.engine
  return {
    taskSubmit: (task) => engine().taskSubmit(task),
    tasks: (query) => engine().tasks(query),
    task: (id) => engine().task(id),
    taskFollow: (id, signal) => engine().taskFollow(id, signal),
    taskCancel: (id) => engine().taskCancel(id),
    taskRetry: (id) => engine().taskRetry(id),
    approvals: (all) => engine().approvals(all),
    approval: (id) => engine().approval(id),
    approvalVote: (id, vote, digest) => engine().approvalVote(id, vote, digest),
    approvalFollow: (signal) => engine().approvalFollow(signal),
    tools: (member) => tools(runtime.node, member),
    tool: async (name) => toolRecord(runtime.node, toolOf(runtime.node, name)),
    toolRegister: async (asked) => {
      const { log, run } = runtime.node
      const tool = await run.host.registry().register(asked, async (draft) => {
        await log.append([draft])
      })
      run.engine.announce()
      return toolRecord(runtime.node, tool)
    },
    toolRemove: async (name) => {
      const { log, run } = runtime.node
      await run.host.registry().remove(name, async (draft) => {
        await log.append([draft])
      })
      run.engine.announce()
    },
    policy: async () => policyView(runtime.node),
    policyExplain: async (request) => explain(runtime.node, request),
    agents: async () => {
      const section = runtime.node.run.host.models.section()
      return [...section.agents.values()].map(({ name, provider, model, tools: granted }) => {
        const { hasKey } = section.provider(provider)
        return { name, provider, model, tools: [...granted], hasKey }
      })
    },
    agentTest: (name, signal) => testAgent(runtime.node, name, signal),
    replay: (run) => replayFromLog(runtime.node.log, runtime.node.run, run)
  }
}

function toolOf(node: MeshNode, name: string): Tool {
  const tool = node.run.host.box.get(name)
  if (tool === null) throw new MeshError('TOOL_UNKNOWN', `there is no tool ${name} on this node`)
  return tool
}

function toolRecord(node: MeshNode, tool: Tool): ToolRecord {
  const { name, kind, description, tier, hash, parameters } = tool.descriptor
  const member = node.directory.ref(node.log.self)
  const bad = describedBadly(node.run.host.guard, tool)
  const why = bad === null ? '' : `the guardrail blocks its description (${guardFacts(bad).rule})`
  return { name, kind, description, tier, hash, member, parameters, available: bad === null, why }
}

/** Of this node, or as another member announced them. */
async function tools(node: MeshNode, text: string | null): Promise<ToolRecord[]> {
  const { log, directory, run } = node
  const key = text === null ? log.self : directory.resolve(text, log.view.members.keys())
  if (key === log.self)
    return [...run.host.box.list().map((tool) => toolRecord(node, tool)), ...withoutSandbox(node)].sort((a, b) =>
      a.name < b.name ? -1 : 1
    )
  const announced = await run.engine.announcementOf(key)
  const member = directory.ref(key)
  const present = node.network.peers().some(({ peer }) => peer === key)
  const why = present ? '' : 'the member is not connected'
  return (announced?.tools ?? []).map(({ name, kind, tier, hash }) => {
    return { name, kind, description: '', tier, hash, member, parameters: null, available: present, why }
  })
}

/** Built-in tools that are not offered because nothing isolates them here. */
function withoutSandbox({ log, directory, run }: MeshNode): ToolRecord[] {
  const member = directory.ref(log.self)
  const { script, command } = run.host.report
  return Object.entries({ script, command })
    .filter(([, { available }]) => !available)
    .map(([name, { text }]) => {
      return {
        name,
        kind: name,
        description: '',
        tier: null,
        hash: '',
        member,
        parameters: null,
        available: false,
        why: text
      }
    })
}

function policyView({ run, init }: MeshNode): PolicyView {
  const policy = run.host.policy()
  const rules = policy.rules.map(({ id, effect, line, text }) => ({ id, effect, place: `policy.toml:${line}`, text }))
  return { file: init.paths.policy, exists: policy.exists, hash: policy.hash, mode: policy.mode, rules }
}

/** What the policy stage would say; nothing runs and nothing is recorded. TOOL_UNKNOWN, TOOL_INPUT_INVALID, POLICY_INVALID. */
function explain(node: MeshNode, request: Parameters<RunApi['policyExplain']>[0]): PolicyExplanation {
  const { log, directory, run } = node
  const tool = toolOf(node, request.tool)
  const { descriptor } = tool
  const checked = compileArguments(descriptor.parameters).check(Buffer.from(request.input))
  if (!checked.ok)
    throw new MeshError('TOOL_INPUT_INVALID', `${checked.pointer === '' ? '/' : checked.pointer}: ${checked.message}`)
  const key = request.member === null ? log.self : directory.resolve(request.member, log.view.members.keys())
  const self = key === log.self
  const touch = tool.touches(checked.value)
  const verdict = run.host.policy().decide({
    tool: descriptor.name,
    kind: descriptor.kind,
    tier: descriptor.tier,
    arguments: checked.value,
    taint: request.taint as readonly Taint[],
    principal: self ? 'owner' : 'peer',
    member: { ...directory.ref(key), self },
    paths: touch.paths,
    hosts: touch.hosts,
    argv: touch.argv
  })
  const { decision, tier, rule, place, reasons, votes, anotherKey, judges } = verdict
  return { decision, tier, rule, place, reasons: [...reasons], votes, anotherKey, judges }
}

/** One short answer of the agent's model, without tools. AGENT_UNKNOWN. */
async function testAgent(node: MeshNode, name: string, signal: AbortSignal): ReturnType<RunApi['agentTest']> {
  const { models } = node.run.host
  const agent = models.section().agents.get(name)
  if (agent === undefined) throw new MeshError('AGENT_UNKNOWN', `there is no agent ${name} on this node`)
  const begun = performance.now()
  const elapsed = (): number => Math.round(performance.now() - begun)
  try {
    const model = models.model(`${agent.provider}/${agent.model}`)
    const messages = [{ role: 'user' as const, text: 'Answer with one short sentence: are you there?' }]
    let text = ''
    const stop = AbortSignal.any([signal, AbortSignal.timeout(AGENT_TEST_MS)])
    for await (const part of model.stream({ messages, tools: [], outputTokensMax: 64 }, stop))
      if (part.kind === 'text') text += part.text
    return { ok: text !== '', text: text === '' ? 'the model answered nothing' : text.slice(0, 2_000), ms: elapsed() }
  } catch (error) {
    return { ok: false, text: messageOf(error), ms: elapsed() }
  }
}
