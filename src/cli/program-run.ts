// Commands about work: tasks, agents that are asked, approvals; and the rules, tools and agents behind them.

import { type Command, Option } from 'commander'
import { TIERS } from '../policy/contract.ts'
import type { Define } from './define-command.ts'
import { parseCount, parseDuration, repeatable } from './option-parsers.ts'
import { TASK_STATES } from './run-text.ts'

const onOption = () => new Option('--on <member>', 'where it runs: a member, or any; this node when left out')
const noWaitOption = () => new Option('--no-wait', 'end with exit code 13 when it waits for somebody else’s approval')
const inputOption = () => new Option('--input <json>', 'arguments as JSON; - reads them from stdin').default('{}')

/** task, ask, approval. */
export function addTaskCommands(program: Command, define: Define): void {
  const task = program.command('task').description('work for a node of the mesh')
  define(
    task,
    'submit',
    'submit a tool call and follow it',
    async () => (await import('./commands/task-submit.ts')).submitTask
  )
    .requiredOption('--tool <name>', 'the tool: pmesh tool list')
    .addOption(inputOption())
    .addOption(onOption())
    .option('--expires <duration>', 'how long it may wait to be done: 30m, 2h (1h)', parseDuration)
    .option('--detach', 'print its id and let go')
    .addOption(noWaitOption())
  define(task, 'list', 'tasks, the newest first', async () => (await import('./commands/task-list.ts')).listTasks)
    .addOption(new Option('--state <state>', 'only in this state').choices(TASK_STATES))
    .option('--limit <count>', 'tasks of one page', parseCount)
    .option('--cursor <cursor>', 'go on from the `next` of an earlier page')
  define(
    task,
    'show <id>',
    'one task: calls, stages, votes, answer',
    async () => (await import('./commands/task-show.ts')).showTask
  )
  define(
    task,
    'follow <id>',
    'stages of a task as they come, until its end',
    async () => (await import('./commands/task-follow.ts')).followTaskCommand
  ).addOption(noWaitOption())
  define(task, 'cancel <id>', 'cancel a task', async () => (await import('./commands/task-cancel.ts')).cancelTask)
  define(
    task,
    'retry <id>',
    'another attempt, although the one before may have had its effect',
    async () => (await import('./commands/task-retry.ts')).retryTask
  ).option('--yes', 'do not ask')
  define(program, 'ask <text...>', 'ask an agent; - reads stdin', async () => (await import('./commands/ask.ts')).ask)
    .option('--agent <name>', 'which agent: default, or the only one')
    .option('--conversation <hex>', 'go on with a conversation')
    .addOption(onOption())
    .addOption(noWaitOption())
  addApprovalCommands(program, define)
}

function addApprovalCommands(program: Command, define: Define): void {
  const approval = program.command('approval').description('calls that wait for a person')
  define(
    approval,
    'list',
    'what waits, from every node',
    async () => (await import('./commands/approval-list.ts')).listApprovals
  ).option('--all', 'decided ones too')
  define(
    approval,
    'show <id>',
    'everything that an approval would release',
    async () => (await import('./commands/approval-show.ts')).showApproval
  )
  define(
    approval,
    'approve <id>',
    'release exactly that call, once',
    async () => (await import('./commands/approval-approve.ts')).approve
  )
    .option('--digest <hex>', 'refuse unless this is still the digest')
    .option('--yes', 'do not ask; needed without a terminal')
  define(approval, 'deny <id>', 'the call does not run', async () => (await import('./commands/approval-deny.ts')).deny)
  define(
    approval,
    'watch',
    'ask about each request as it comes',
    async () => (await import('./commands/approval-watch.ts')).watchApprovals
  )
}

/** agent: beside the credentials. */
export function addAgentCommands(program: Command, define: Define): void {
  const agent = program.command('agent').description('agents in agents.toml')
  define(
    agent,
    'list',
    'agents as the node reads them',
    async () => (await import('./commands/agent-list.ts')).listAgents
  )
  define(
    agent,
    'show <name>',
    'one agent and its provider',
    async () => (await import('./commands/agent-show.ts')).showAgent
  )
  define(agent, 'add <name>', 'add an agent', async () => (await import('./commands/agent-add.ts')).addAgentCommand)
    .requiredOption('--provider <name>', 'table of agents.toml: [providers.NAME]')
    .requiredOption('--model <model>', 'model of that provider')
    .addOption(repeatable('--tools <pattern...>', 'tools that it may propose: calc, file.*'))
    .option('--system <text>', 'what it is told first')
    .addOption(
      new Option('--type <type>', 'writes the provider too').choices(['anthropic', 'openai-compatible', 'ollama'])
    )
    .option('--base-url <url>', 'where the provider listens')
  define(
    agent,
    'remove <name>',
    'remove an agent',
    async () => (await import('./commands/agent-remove.ts')).removeAgentCommand
  )
  define(
    agent,
    'test <name>',
    'ask its model for one word',
    async () => (await import('./commands/agent-test.ts')).testAgent
  )
}

/** policy, tool. */
export function addRuleCommands(program: Command, define: Define): void {
  program.commandsGroup('Rules:')
  const policy = program.command('policy').description('what may run, what asks, what never does')
  define(policy, 'show', 'the rules of this node', async () => (await import('./commands/policy-show.ts')).showPolicy)
  define(
    policy,
    'check [file]',
    'read the file and say what is wrong',
    async () => (await import('./commands/policy-check.ts')).checkPolicy
  )
  define(
    policy,
    'explain <tool>',
    'what would be decided, and by which rule; nothing runs',
    async () => (await import('./commands/policy-explain.ts')).explainPolicy
  )
    .addOption(inputOption())
    .addOption(repeatable('--taint <source...>', 'as if the run had seen peer, web, file, tool or model text'))
    .option('--member <member>', 'as if this member had submitted it')
  define(
    policy,
    'test <file>',
    'lines {tool, input, expect}; exit code 14 when one differs',
    async () => (await import('./commands/policy-test.ts')).testPolicy
  )
  const tool = program.command('tool').description('what a task may call')
  define(tool, 'list', 'tools of this node', async () => (await import('./commands/tool-list.ts')).listTools).option(
    '--member <member>',
    'as this member announces them'
  )
  define(tool, 'show <name>', 'one tool and its schema', async () => (await import('./commands/tool-show.ts')).showTool)
  define(
    tool,
    'register <name>',
    'make a tool of this node from code',
    async () => (await import('./commands/tool-register.ts')).registerTool
  )
    .requiredOption('--code <file>', 'JavaScript or a WASI module')
    .addOption(new Option('--kind <kind>', 'told from the code when left out').choices(['script', 'wasm']))
    .option('--schema <file>', 'JSON Schema of the arguments')
    .addOption(new Option('--tier <tier>', 'irreversible when left out').choices(TIERS))
    .option('--description <text>', 'what it does', '')
    .addOption(new Option('--scope <scope>', 'who may call it').choices(['operator', 'admin']).default('operator'))
    .addOption(repeatable('--permission <permission...>', 'what its sandbox lets it do'))
    .option('--replace', 'over one of that name')
  define(
    tool,
    'remove <name>',
    'remove a registered tool',
    async () => (await import('./commands/tool-remove.ts')).removeTool
  )
}
