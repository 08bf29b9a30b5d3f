// PRIVATE-1, seen from outside: the sockets that the kernel lists for a node's process.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import net from 'node:net'
import { afterEach, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { peerIdOf } from '../../src/identity/peer-id.ts'

const LISTENING = '0A'
const OBSERVED_MS = 1_500
const KEY = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'
const children: ChildProcess[] = []
const skip = process.platform === 'linux' ? false : 'needs /proc'

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

test('PRIVATE-1 a node with no peers, no mDNS and no bootstrap opens no connection and no UDP socket', {
  skip
}, async () => {
  const sockets = await observe([])
  assert.ok(sockets.has(`tcp ${LISTENING}`), 'it listens')
  assert.deepEqual([...sockets], [`tcp ${LISTENING}`])
})

test('PRIVATE-1 the observation sees a node that dials its bootstrap', { skip }, async () => {
  const server = net.createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as net.AddressInfo
  const sockets = await observe([`/ip4/127.0.0.1/tcp/${port}/p2p/${peerIdOf(KEY)}`])
  server.close()
  assert.ok(
    [...sockets].some((socket) => socket !== `tcp ${LISTENING}`),
    [...sockets].join()
  )
})

/** Protocol and state of every internet socket that the node's process had. */
async function observe(bootstrap: string[]): Promise<Set<string>> {
  const script = new URL('./quiet-node-process.ts', import.meta.url)
  const child = spawn(process.execPath, [script.pathname, ...bootstrap], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  await new Promise((resolve) => child.stdout?.once('data', resolve))
  const seen = new Set<string>()
  for (const end = Date.now() + OBSERVED_MS; Date.now() < end; await pause(10)) {
    for (const socket of socketsOf(child.pid ?? 0)) seen.add(socket)
  }
  return seen
}

function socketsOf(pid: number): string[] {
  const inodes = new Set<string>()
  for (const entry of readdirSync(`/proc/${pid}/fd`)) {
    const inode = /^socket:\[(\d+)\]$/.exec(tryReadLink(`/proc/${pid}/fd/${entry}`))?.[1]
    if (inode !== undefined) inodes.add(inode)
  }
  const found: string[] = []
  for (const protocol of ['tcp', 'tcp6', 'udp', 'udp6']) {
    for (const line of readFileSync(`/proc/${pid}/net/${protocol}`, 'latin1').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      if (inodes.has(fields[9] ?? '')) found.push(`${protocol} ${fields[3]}`)
    }
  }
  return found
}

function tryReadLink(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return '' // the descriptor was closed while we looked
  }
}
