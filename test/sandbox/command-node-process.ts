// A node of its own for tests that kill one, or hand one a descriptor: opens a sandbox on the home it is given and runs one script.
// argv: home, script. Prints `report TEXT`, then what the tool answered.

import { openSandboxOn } from './command-kit.ts'

const [home, script] = process.argv.slice(2) as [string, string]
const { sandbox, workspaces } = await openSandboxOn(home)
console.log(`report ${sandbox.report.text}`)
const outcome = await sandbox.run({
  program: 'bash',
  args: ['-c', script],
  workspace: await workspaces.prepare('run-1'),
  limits: { timeMs: 30_000, memoryBytes: 512 * 1024 * 1024, outputBytes: 65_536, processes: 64, fileBytes: 65_536 },
  signal: new AbortController().signal
})
console.log(outcome.stdout.toString('utf8'))
await sandbox.close()
