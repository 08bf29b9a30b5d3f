// Live batches: one node appends whole gossip messages, another stores them durably; beside gossipsub alone with messages of that size.

import { join } from 'node:path'
import { gossipFloor } from './floors/gossip-floor.ts'
import { runPair } from './live-pair.ts'
import { byTurns, inFolder, type Measurement, measurement } from './measure.ts'

const ROUNDS = 3
const ROUND_MS = 4000
const MESSAGE_BYTES_MIN = 1024

export async function measureLiveBatch(): Promise<Measurement> {
  const program = join(import.meta.dirname, 'live-batch-process.ts')
  let [messageBytes, eventsPerMessage, messages] = [0, 0, 0]
  const product = async () => {
    const { count, seconds, reader } = await inFolder((folder) => runPair(program, folder, ROUND_MS))
    messages = reader.messages ?? 0
    messageBytes = Math.max(MESSAGE_BYTES_MIN, reader.messageBytes ?? 0)
    eventsPerMessage = count / messages
    return count / seconds
  }
  await product()
  const floorRate = async () => (await gossipFloor(messageBytes, ROUND_MS)) * eventsPerMessage
  const { value, floor } = await byTurns(ROUNDS, product, floorRate)
  const note = `${Math.round(eventsPerMessage)} events in a gossip message of ${messageBytes} bytes, stored with fsync on both sides`
  return measurement('live-batch', 'events/s', value, floor, note)
}
