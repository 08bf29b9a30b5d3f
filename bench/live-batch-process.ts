// One side of live batches: live-batch-process.ts write FOLDER | read FOLDER ADDRESS SEQ

import { join } from 'node:path'
import { BENCH_TYPE, founderKey, openBenchLog } from './bench-log.ts'
import { admitMember, founderSeq, memberKey, reached, startBenchNode } from './bench-node.ts'
import { publishFor } from './live-pair.ts'
import { payloads } from './payload.ts'

/** As many events as one append takes before the queue closes it. */
const BATCH_EVENTS = 70
/** Batches under way: enough that neither side waits for the other's disk. */
const WINDOW = 256

async function write(folder: string): Promise<void> {
  const { log } = await openBenchLog(folder)
  await admitMember(log)
  const node = await startBenchNode(log, founderKey)
  let issued = founderSeq(log)
  process.send?.({ address: node.network.addresses().main[0], seen: issued })
  const pool = payloads(BATCH_EVENTS * 10)
  const publish = async () => {
    const first = issued % (pool.length - BATCH_EVENTS)
    const drafts = pool.slice(first, first + BATCH_EVENTS).map((payload) => ({ type: BENCH_TYPE, payload }))
    issued += BATCH_EVENTS
    void log.append(drafts)
    return issued
  }
  await publishFor(publish, () => issued, WINDOW * BATCH_EVENTS)
}

async function read(folder: string, address: string, seq: number): Promise<void> {
  const { log } = await openBenchLog(folder, memberKey)
  const node = await startBenchNode(log, memberKey)
  await node.network.connect([address])
  await reached(log, seq)
  const deadline = performance.now() + 10_000
  while (!node.network.peers().some(({ gossip }) => gossip)) {
    if (performance.now() > deadline) throw new Error('gossip does not flow')
    await new Promise((resolve) => setImmediate(resolve))
  }
  log.onCommit(() => {
    process.send?.({ seen: founderSeq(log), messages: node.gossipMessages(), messageBytes: node.largestGossipBytes() })
  })
  process.send?.({ ready: true })
}

const [role, folder = '', address = '', seq = '0'] = process.argv.slice(2)
if (role === 'write') await write(join(folder, 'writer'))
else await read(join(folder, 'reader'), address, Number(seq))
