// A new member catches up with one author's chain, store to store between two processes; bytes on the wire on the way.

import { fork } from 'node:child_process'
import { join } from 'node:path'
import { type CatchUpResult, catchUpFloor, message } from './floors/catch-up-floor.ts'
import { byTurns, inFolder, type Measurement, measurement, mebibytes } from './measure.ts'
import { EVENT_FLOOR_BYTES } from './payload.ts'

const ROUNDS = 3

interface ProductResult extends CatchUpResult {
  readonly wireBytesPerEvent: number
}

export async function measureCatchUp(events: number, wanted: ReadonlySet<string>): Promise<Measurement[]> {
  const results: ProductResult[] = []
  const floors: CatchUpResult[] = []
  const { value, floor } = await byTurns(
    ROUNDS,
    async () => {
      results.push(await inFolder((folder) => catchUp(events, folder)))
      return results.at(-1)?.eventsPerSecond ?? Number.NaN
    },
    async () => {
      floors.push(await inFolder((folder) => catchUpFloor(events, folder)))
      return floors.at(-1)?.eventsPerSecond ?? Number.NaN
    }
  )
  const last = results.at(-1) as ProductResult
  const measured: Measurement[] = []
  if (wanted.has('catch-up'))
    measured.push(measurement('catch-up', 'events/s', value, floor, noteOf(events, results, floors)))
  if (wanted.has('wire-bytes')) {
    const note = 'on the sockets of the receiver, encryption included'
    measured.push(measurement('wire-bytes', 'bytes/event', last.wireBytesPerEvent, EVENT_FLOOR_BYTES, note))
  }
  return measured
}

function noteOf(events: number, results: readonly CatchUpResult[], floors: readonly CatchUpResult[]): string {
  const peak = (all: readonly CatchUpResult[]) => mebibytes(Math.max(...all.map((result) => result.receiverRssBytes)))
  const cpu = (all: readonly CatchUpResult[]) =>
    Math.min(...all.map((result) => result.receiverCpuMicrosecondsPerEvent)).toFixed(1)
  return `${events} events; receiver at most ${peak(results)} MiB, ${cpu(results)} µs CPU an event (floor ${peak(floors)} MiB, ${cpu(floors)} µs)`
}

async function catchUp(events: number, folder: string): Promise<ProductResult> {
  const program = join(import.meta.dirname, 'catch-up-process.ts')
  const sender = fork(program, ['send', String(events), join(folder, 'sender')])
  try {
    const { address, seq } = await message<{ address: string; seq: number }>(sender)
    const receiver = fork(program, ['receive', String(seq), join(folder, 'receiver'), address])
    try {
      return await message<ProductResult>(receiver)
    } finally {
      receiver.kill()
    }
  } finally {
    sender.kill()
  }
}
