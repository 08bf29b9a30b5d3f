// One side of the catch-up floor: catch-up-process.ts send EVENTS FOLDER | receive EVENTS FOLDER ADDRESS KEY
// Event: sequence u64 ‖ time u64 ‖ previous 32 ‖ length u16 ‖ payload ‖ signature 64. Batch: bytes u32 ‖ events u32 ‖ events.

import { createPublicKey, generateKeyPairSync, hash, type KeyObject, randomBytes, sign, verify } from 'node:crypto'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import type { Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { cpuSeconds } from '../measure.ts'
import { PAYLOAD_BYTES, payloads } from '../payload.ts'
import { numberKey, openRaw, type RawDatabase } from './raw-database.ts'

const PROTOCOL = '/catch-up-floor/1'
const HEAD_BYTES = 50
const SIGNED_BYTES = HEAD_BYTES + PAYLOAD_BYTES
const EVENT_BYTES = SIGNED_BYTES + 64
const BATCH_EVENTS = 500
const BATCH_HEAD_BYTES = 8
const CREDITS = 4
const SPKI_PREFIX = '302a300506032b6570032100'

function host(listen: string[]) {
  return createLibp2p({
    addresses: { listen },
    transports: [tcp()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: 2 * 1024 * 1024 } })],
    connectionEncrypters: [noise()]
  })
}

async function fill(database: RawDatabase, events: number, key: KeyObject): Promise<void> {
  const pool = payloads(5000)
  let previous: Buffer = Buffer.alloc(32)
  for (let start = 0; start < events; start += 5000) {
    const batch = database.batch()
    for (let index = start; index < Math.min(events, start + 5000); index++) {
      const event = Buffer.alloc(EVENT_BYTES)
      event.writeUInt32BE(index, 4)
      event.writeBigUInt64BE(BigInt(1_790_000_000_000 + index), 8)
      previous.copy(event, 16)
      event.writeUInt16BE(PAYLOAD_BYTES, 48)
      pool[index % pool.length]?.copy(event, HEAD_BYTES)
      if ((index + 1) % BATCH_EVENTS === 0 || index === events - 1) {
        sign(null, event.subarray(0, SIGNED_BYTES), key).copy(event, SIGNED_BYTES)
      }
      previous = hash('sha256', event, 'buffer')
      batch.put(numberKey(index), event)
    }
    await batch.write()
  }
}

async function send(events: number, folder: string): Promise<void> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const database = await openRaw(folder)
  await fill(database, events, privateKey)
  const iterator = database.iterator({ keys: false, highWaterMarkBytes: 1024 * 1024 })
  const node = await host(['/ip4/127.0.0.1/tcp/0'])
  let sent = 0
  const sendBatch = async (stream: Stream): Promise<void> => {
    const size = Math.min(BATCH_EVENTS, events - sent)
    if (size === 0) return
    const values: Uint8Array[] = []
    while (values.length < size) for (const [, value] of await iterator.nextv(size - values.length)) values.push(value)
    sent += size
    const head = Buffer.alloc(BATCH_HEAD_BYTES)
    head.writeUInt32BE(size * EVENT_BYTES, 0)
    head.writeUInt32BE(size, 4)
    stream.send(head)
    stream.send(Buffer.concat(values))
  }
  let serving = Promise.resolve()
  await node.handle(PROTOCOL, (stream) => {
    stream.addEventListener('message', ({ data }) => {
      for (const credit of data.subarray()) {
        for (let count = 0; count < credit; count++) serving = serving.then(() => sendBatch(stream))
      }
    })
  })
  const key = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex')
  process.send?.({ address: node.getMultiaddrs()[0]?.toString(), key })
}

/** Cuts whole batches out of the bytes of a stream. */
class BatchReader {
  #chunks: Uint8Array[] = []
  #have = 0

  push(bytes: Uint8Array): void {
    this.#chunks.push(bytes)
    this.#have += bytes.length
  }

  next(): { body: Buffer; events: number } | null {
    if (this.#have < BATCH_HEAD_BYTES) return null
    if ((this.#chunks[0]?.length ?? 0) < BATCH_HEAD_BYTES) this.#chunks = [Buffer.concat(this.#chunks)]
    const first = this.#chunks[0] as Uint8Array
    const head = Buffer.from(first.buffer, first.byteOffset, BATCH_HEAD_BYTES)
    const end = BATCH_HEAD_BYTES + head.readUInt32BE(0)
    if (this.#have < end) return null
    const all = Buffer.concat(this.#chunks)
    this.#chunks = all.length > end ? [all.subarray(end)] : []
    this.#have = all.length - end
    return { body: all.subarray(BATCH_HEAD_BYTES, end), events: all.readUInt32BE(4) }
  }
}

async function receive(events: number, folder: string, address: string, keyHex: string): Promise<void> {
  const key = createPublicKey({ key: Buffer.from(SPKI_PREFIX + keyHex, 'hex'), format: 'der', type: 'spki' })
  const database = await openRaw(folder)
  const node = await host([])
  const stream = await node.dialProtocol(multiaddr(address), PROTOCOL)
  const author = randomBytes(16)
  const reader = new BatchReader()
  const finished = Promise.withResolvers<void>()
  let previous: Buffer = Buffer.alloc(32)
  let [expected, done] = [0, 0]
  let rssBytes = 0
  let writing: Promise<void> = Promise.resolve()

  const take = (body: Buffer, count: number): void => {
    const batch = database.batch()
    for (let index = 0; index < count; index++) {
      const event = body.subarray(index * EVENT_BYTES, (index + 1) * EVENT_BYTES)
      if (event.readUInt32BE(4) !== expected++) throw new Error('a gap in the sequence')
      if (Buffer.compare(event.subarray(16, 48), previous) !== 0) throw new Error('the chain is broken')
      const isLast = index === count - 1
      if (isLast && !verify(null, event.subarray(0, SIGNED_BYTES), key, event.subarray(SIGNED_BYTES))) {
        throw new Error('the signature does not hold')
      }
      previous = hash('sha256', event, 'buffer')
      const name = Buffer.allocUnsafe(25)
      name[0] = 1
      author.copy(name, 1)
      event.copy(name, 17, 0, 8)
      batch.put(name, event)
    }
    const write = async (): Promise<void> => {
      await batch.write()
      done += count
      rssBytes = Math.max(rssBytes, process.memoryUsage.rss())
      if (done < events) stream.send(Uint8Array.of(1))
      else finished.resolve()
    }
    writing = writing.then(write).catch(finished.reject)
  }

  const start = performance.now()
  const cpuStart = cpuSeconds()
  stream.addEventListener('message', ({ data }) => {
    reader.push(data.subarray())
    for (let batch = reader.next(); batch !== null; batch = reader.next()) take(batch.body, batch.events)
  })
  stream.send(Uint8Array.of(CREDITS))
  await finished.promise
  const seconds = (performance.now() - start) / 1000
  process.send?.({
    eventsPerSecond: events / seconds,
    receiverRssBytes: rssBytes,
    receiverCpuMicrosecondsPerEvent: ((cpuSeconds() - cpuStart) / events) * 1e6
  })
}

const [role, events = '0', folder = '', address = '', key = ''] = process.argv.slice(2)
if (role === 'send') await send(Number(events), folder)
else await receive(Number(events), folder, address, key)
