// A node of its own for tests that kill one, or hand one a descriptor: opens a sandbox on the home it is given and runs one script.
// argv: home, script, back end. Prints `report TEXT` and `sockets …`, then what the program wrote.

import { SandboxManager } from '@anthropic-ai/sandbox-runtime'
import { openSandboxOn } from './command-kit.ts'

const [home, script, backend] = process.argv.slice(2) as [string, string, 'sandbox-runtime' | undefined]
const { sandbox, workspaces } = await openSandboxOn(home, backend === undefined ? {} : { backend })
const sockets = [SandboxManager.getLinuxHttpSocketPath(), SandboxManager.getLinuxSocksSocketPath()].filter(Boolean)
console.log(`report ${sandbox.report.text}\nsockets ${sockets.join(' ')}`)
const outcome = await sandbox.run({
  program: 'bash',
  args: ['-c', script],
  workspace: await workspaces.prepare('run-1'),
  limits: { timeMs: 30_000, memoryBytes: 512 * 1024 * 1024, outputBytes: 65_536, processes: 64, fileBytes: 65_536 },
  signal: new AbortController().signal
})
console.log(outcome.stdout.toString('utf8'))
await sandbox.close()
