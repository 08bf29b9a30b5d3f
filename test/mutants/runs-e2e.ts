// Controls of how a node composes its runs: what no single part can check, and real nodes do.

import type { Mutant } from '../mutants.ts'

export const RUNS_E2E_MUTANTS: readonly Mutant[] = [
  {
    id: 'TASK-1',
    what: 'effects leave a node that may have forgotten something',
    file: 'src/node/run-host.ts',
    find: 'members.length === 1 || node.markerFits || node.state?.ownHeadConfirmed === true',
    replace: 'members.length >= 0'
  },
  {
    id: 'JUDGE-7',
    what: 'judges on other nodes are not asked',
    file: 'src/node/run-host.ts',
    find: 'members: judges.remote.map((id) => judgeKey(id, log.view.members.keys())),',
    replace: 'members: judges.remote.length < 0 ? [log.self] : [],'
  },
  {
    id: 'JUDGE-3',
    what: 'a restart forgets what the judges have used of the day’s budget',
    file: 'src/node/run-host.ts',
    find: 'const stored = await node.log.store.get(BUDGET_KEY)',
    replace: 'const stored = (await node.log.store.get(BUDGET_KEY)) === null ? null : null'
  },
  {
    id: 'GUARD-5',
    what: 'the node has a guard without patterns',
    file: 'src/node/tool-host.ts',
    find: 'const guard = createPatternGuard()',
    replace: 'const guard = createPatternGuard([])'
  },
  {
    id: 'SANDBOX-6',
    what: 'commands are offered without a sandbox',
    file: 'src/node/tool-host.ts',
    find: '...(command.report.available ? [createCommandTool(command, workspaces)] : [])',
    replace: 'createCommandTool(command, workspaces)'
  },
  {
    id: 'SANDBOX-6',
    what: 'doctor says nothing of the sandboxes',
    file: 'src/node/node-doctor.ts',
    find: ', ...sandboxLines(node)]',
    replace: ', ...sandboxLines(node).slice(3)]'
  },
  {
    id: 'TOOL-1',
    what: 'a registration is no event',
    file: 'src/node/run-service.ts',
    find: `const tool = await run.host.registry().register(asked, async (draft) => {
        await log.append([draft])
      })`,
    replace: 'const tool = await run.host.registry().register(asked, async () => void log)'
  },
  {
    id: 'TOOL-2',
    what: 'a registered tool may take the name of a built-in one',
    file: 'src/node/tool-host.ts',
    find: 'const reserved = builtins.map(({ descriptor }) => descriptor.name)',
    replace: 'const reserved: string[] = []'
  },
  {
    id: 'POLICY-3',
    what: 'an explanation knows no taint',
    file: 'src/node/run-service.ts',
    find: 'taint: request.taint as readonly Taint[]',
    replace: 'taint: [] as readonly Taint[]'
  },
  {
    id: 'POLICY-4',
    what: 'an explanation takes every member for the owner',
    file: 'src/node/run-service.ts',
    find: "principal: self ? 'owner' : 'peer'",
    replace: "principal: 'owner'"
  },
  {
    id: 'REPLAY-1',
    what: 'a replay misses the votes for a call that a last check stopped',
    file: 'src/node/run-replay.ts',
    find: 'started === null ? requests.at(-1) : requests.find(({ id }) => id === started.request)',
    replace: 'requests.find(({ id }) => id === started?.request)'
  },
  {
    id: 'MEMBER-4',
    what: 'for tasks a member is for ever what it was admitted as',
    file: 'src/log/current-grant.ts',
    find: 'roleAtLeast(grant.role, least)',
    replace: 'roleAtLeast(log.view.members.get(key)?.role ?? grant.role, least)'
  }
]
