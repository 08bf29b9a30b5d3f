import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { CommandContext, DEFAULT_OPTIONS } from '../../src/cli/command-context.ts'
import { followSync } from '../../src/cli/sync-progress.ts'
import { createFakeNode } from '../rpc/fake-node-api.ts'

function screen(isTTY: boolean) {
  const stderr = Object.assign(new PassThrough(), { isTTY, columns: 100 })
  let text = ''
  stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  const { stdin, stdout } = process
  const terminal = {
    stdin,
    stdout,
    stderr,
    env: {},
    isRoot: false,
    onStopSignal: () => () => undefined,
    exit: process.exit
  }
  return { context: new CommandContext(terminal, { ...DEFAULT_OPTIONS }), text: () => text }
}

test('the first sync shows a bar on a terminal while events are missing, and nothing elsewhere', async () => {
  const api = createFakeNode()
  const status = await api.status()
  let behind = 300
  api.status = async () => ({ ...status, log: { ...status.log, events: 100, behind } })
  for (const isTTY of [true, false]) {
    behind = 300
    const { context, text } = screen(isTTY)
    const sync = followSync(context, api)
    await sync.look()
    if (isTTY) assert.match(text(), /syncing █{6}░{18} +25 % {2}100 of 400/)
    behind = 0
    await sync.look()
    sync.end()
    if (isTTY) assert.ok(text().endsWith('\r\x1b[K'))
    else assert.equal(text(), '')
  }
})
