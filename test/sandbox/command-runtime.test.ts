// The second box: sandbox-runtime, which is the first on macOS. On Linux it holds the same doors, more slowly.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type CommandKit, holdsWithin, openKit, openSandboxOn, processesWith, SECRET, skip } from './command-kit.ts'

let kit: CommandKit
before(async () => {
  if (skip === false) kit = await openKit({ backend: 'sandbox-runtime' })
})
after(() => kit?.[Symbol.asyncDispose]())

test('SANDBOX-6 the report names the second box', { skip }, () => {
  assert.equal(kit.sandbox.report.available, true, kit.sandbox.report.text)
  assert.match(kit.sandbox.report.text, /^sandbox-runtime, network off, memory by .*, as user [1-9]\d*$/)
})

test('SANDBOX-1 in the second box neither files outside, nor the environment, nor the network are there', {
  skip
}, async () => {
  const secret = kit.secretFile('runtime.txt')
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const { text } = await kit.bash(
    `cat ${secret}; ln -s ${secret} l; cat l; env; exec 3<>/dev/tcp/127.0.0.1/${port} && echo reached; echo the end`
  )
  server.close()
  assert.match(text, /the end/)
  assert.ok(!text.includes(SECRET) && !/reached|PROXY|proxy/.test(text), text)
})

test('SANDBOX-2 SANDBOX-3 in the second box time and output have limits', { skip }, async () => {
  const marker = `marker-${randomUUID()}`
  const late = await kit.bash(`: ${marker}; setsid -f bash -c ": ${marker}; sleep 60"; sleep 60`, {
    limits: { timeMs: 500 }
  })
  assert.equal(late.status, 'timeout')
  assert.deepEqual(processesWith(marker), [])
  assert.equal((await kit.bash('yes')).status, 'output')
})

test('SANDBOX-2 E6 E7 a killed node leaves no program, and its helpers go when the next node starts', {
  skip
}, async () => {
  await using own = await openKit()
  const marker = `marker-${randomUUID()}`
  const program = join(import.meta.dirname, 'command-node-process.ts')
  const node = spawn(
    process.execPath,
    ['--no-warnings', program, own.home, `: ${marker}; sleep 60`, 'sandbox-runtime'],
    {
      stdio: ['ignore', 'pipe', 'inherit']
    }
  )
  assert.ok(await holdsWithin(20_000, () => processesWith(marker).length > 0))
  const [said] = await once(node.stdout, 'data')
  const sockets = /^sockets (.+)$/m.exec(String(said))?.[1]?.split(' ') ?? []
  assert.ok(sockets.length > 0 && sockets.every((socket) => processesWith(socket).length > 0), String(said))
  node.kill('SIGKILL')
  await once(node, 'exit')
  assert.ok(await holdsWithin(5_000, () => processesWith(marker).length === 0))
  await kit.sandbox.close()
  const next = await openSandboxOn(own.home, { backend: 'sandbox-runtime' })
  assert.ok(await holdsWithin(5_000, () => sockets.every((socket) => processesWith(socket).length === 0)))
  await next.sandbox.close()
})
