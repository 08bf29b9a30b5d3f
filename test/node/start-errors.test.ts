import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { homePaths } from '../../src/config/paths.ts'
import { startNode } from '../../src/node/start-node.ts'

const LOOPBACK = '/ip4/127.0.0.1/tcp/0'

test('a node does not start on an address that is none, and starts on the same home when it is mended', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'pmesh-start-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const home = homePaths(join(folder, 'home'))
  const start = (listen: string) =>
    startNode({ home, socket: home.socket, flags: { listen: [listen], door: [LOOPBACK], mdns: false } })
  await assert.rejects(start('/ip4/999.1.1.1/tcp/1'), { code: 'PEER_ADDRESS_INVALID' })
  await assert.rejects(start('/tcp/nowhere'), { code: 'PEER_ADDRESS_INVALID' })
  const node = await start(LOOPBACK)
  assert.equal((await node.api.status()).mesh.members, 1)
  await node.stop()
})
