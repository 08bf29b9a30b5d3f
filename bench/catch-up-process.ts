// One side of catch-up: catch-up-process.ts send EVENTS FOLDER | receive SEQ FOLDER ADDRESS

import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { fillLog, founderKey, openBenchLog } from './bench-log.ts'
import { admitMember, founderSeq, memberKey, reached, startBenchNode } from './bench-node.ts'
import { cpuSeconds } from './measure.ts'
import { payloads } from './payload.ts'

async function send(events: number, folder: string): Promise<void> {
  const { log } = await openBenchLog(folder)
  await admitMember(log)
  await fillLog(log, payloads(5000), events)
  const node = await startBenchNode(log, founderKey)
  process.send?.({ address: node.network.addresses().main[0], seq: founderSeq(log) })
}

async function receive(seq: number, folder: string, address: string): Promise<void> {
  const sockets: Socket[] = []
  subscribe('net.client.socket', (message) => sockets.push((message as { socket: Socket }).socket))
  const { log } = await openBenchLog(folder, memberKey)
  let start = 0
  let cpuStart = 0
  const node = await startBenchNode(log, memberKey, {
    peerUp: () => {
      start = performance.now()
      cpuStart = cpuSeconds()
    }
  })
  const done = reached(log, seq)
  await node.network.connect([address])
  await done
  process.send?.({
    eventsPerSecond: seq / ((performance.now() - start) / 1000),
    receiverRssBytes: process.resourceUsage().maxRSS * 1024,
    receiverCpuMicrosecondsPerEvent: ((cpuSeconds() - cpuStart) / seq) * 1e6,
    wireBytesPerEvent: sockets.reduce((sum, socket) => sum + socket.bytesRead, 0) / seq
  })
}

const [role, count = '0', folder = '', address = ''] = process.argv.slice(2)
if (role === 'send') await send(Number(count), folder)
else await receive(Number(count), folder, address)
