// Live batches: one node appends whole gossip messages, another stores them durably; beside gossipsub alone with messages of that size.

import { join } from 'node:path'
import type { EventLog } from '../src/log/event-log.ts'
import { BENCH_TYPE, founderKey, openBenchLog } from './bench-log.ts'
import { admitMember, founderSeq, memberKey, reached, startBenchNode } from './bench-node.ts'
import { gossipFloor } from './floors/gossip-floor.ts'
import { byTurns, inFolder, type Measurement, measurement } from './measure.ts'
import { payloads } from './payload.ts'

const ROUNDS = 3
const ROUND_MS = 4000
/** As many events as one append takes before the queue closes it. */
const BATCH_EVENTS = 70
/** Batches that the reader may be behind, as in the floor. */
const WINDOW = 64
const STALL_MS_MAX = 30_000

export async function measureLiveBatch(): Promise<Measurement> {
  let messageBytes = 32 * 1024
  let share = 0
  const product = async () => {
    const result = await inFolder(liveBatch)
    messageBytes = result.messageBytes
    share = result.gossiped
    return result.eventsPerSecond
  }
  await product()
  const { value, floor } = await byTurns(
    ROUNDS,
    product,
    async () => (await gossipFloor(messageBytes, ROUND_MS)) * BATCH_EVENTS
  )
  const note = `batches of ${BATCH_EVENTS} events, ${messageBytes} bytes gossiped each; ${Math.min(100, Math.round(share * 100))} % came by gossip`
  return measurement('live-batch', 'events/s', value, floor, note)
}

interface LiveResult {
  readonly eventsPerSecond: number
  /** Of the largest gossip message. */
  readonly messageBytes: number
  /** Share of the batches that came by gossip. */
  readonly gossiped: number
}

async function liveBatch(folder: string): Promise<LiveResult> {
  const [from, to] = [await openBenchLog(join(folder, 'from')), await openBenchLog(join(folder, 'to'), memberKey)]
  await admitMember(from.log)
  const [writer, reader] = [await startBenchNode(from.log, founderKey), await startBenchNode(to.log, memberKey)]
  try {
    await reader.network.connect(writer.network.addresses().main)
    await reached(to.log, founderSeq(from.log))
    await until(() => from.log.writeMode === 'open' && writer.network.peers().some(({ gossip }) => gossip))
    const firstSeq = founderSeq(from.log)
    const gossipStart = reader.gossipMessages()
    const start = performance.now()
    const batches = await appendFor(ROUND_MS, from.log, to.log)
    await reached(to.log, firstSeq + batches * BATCH_EVENTS)
    const seconds = (performance.now() - start) / 1000
    return {
      eventsPerSecond: (batches * BATCH_EVENTS) / seconds,
      messageBytes: reader.largestGossipBytes(),
      gossiped: (reader.gossipMessages() - gossipStart) / batches
    }
  } finally {
    await Promise.all([writer.stop(), reader.stop()])
    await Promise.all([from.close(), to.close()])
  }
}

async function appendFor(ms: number, from: EventLog, to: EventLog): Promise<number> {
  const pool = payloads(BATCH_EVENTS * 10)
  const start = performance.now()
  let batches = 0
  const open = new Set<Promise<unknown>>()
  for (; performance.now() - start < ms; batches++) {
    await until(() => founderSeq(from) - founderSeq(to) + open.size * BATCH_EVENTS < WINDOW * BATCH_EVENTS)
    const first = (batches % 10) * BATCH_EVENTS
    const drafts = pool.slice(first, first + BATCH_EVENTS).map((payload) => ({ type: BENCH_TYPE, payload }))
    const append = from.append(drafts).finally(() => open.delete(append))
    open.add(append)
  }
  await Promise.all(open)
  return batches
}

async function until(condition: () => boolean): Promise<void> {
  const start = performance.now()
  while (!condition()) {
    if (performance.now() - start > STALL_MS_MAX) throw new Error('live batches stall')
    await new Promise((resolve) => setImmediate(resolve))
  }
}
