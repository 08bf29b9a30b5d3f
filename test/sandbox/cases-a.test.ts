// The A list of abuse through the tool, once with a control group where one can be made, once with watching alone.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, beforeEach, describe, test } from 'node:test'
import { COMMAND_CASES } from './command-cases.ts'
import { type CommandKit, openKit, SECRET, skip } from './command-kit.ts'

process.env.PMESH_TEST_CANARY = SECRET

/** Which promise each case belongs to. */
function promise(id: string): string {
  const number = Number(id.slice(1))
  if (number >= 29 && number <= 32) return 'SANDBOX-2'
  if ((number >= 23 && number <= 28) || (number >= 33 && number <= 35)) return 'SANDBOX-3'
  return 'SANDBOX-1'
}

for (const controlGroups of [true, false]) {
  describe(controlGroups ? 'with control groups where there are any' : 'by watching alone', { skip }, () => {
    let kit: CommandKit
    before(async () => {
      kit = await openKit({ controlGroups })
      assert.equal(kit.sandbox.report.available, true, kit.sandbox.report.text)
    })
    after(() => kit[Symbol.asyncDispose]())
    beforeEach(async () => {
      await kit.workspaces.remove('run-1')
      await kit.workspaces.prepare('run-1')
    })

    for (const { id, what, run } of COMMAND_CASES) {
      test(`${promise(id)} ${id} ${what}`, () => run(kit, `marker-${randomUUID()}`))
    }
  })
}
