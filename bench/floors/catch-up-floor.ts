// Floor of catch-up: one process streams a chain from its LevelDB, another checks hashes and one signature per batch and writes its own.
// The parts alone: libp2p stream with Noise and Yamux, node:crypto, LevelDB, and as much credit as keeps four batches open.

import { fork } from 'node:child_process'
import { join } from 'node:path'

export interface CatchUpResult {
  readonly eventsPerSecond: number
  readonly receiverRssBytes: number
  readonly receiverCpuMicrosecondsPerEvent: number
}

/** Two processes, 256-byte payloads, `events` events. */
export async function catchUpFloor(events: number, folder: string): Promise<CatchUpResult> {
  const program = join(import.meta.dirname, 'catch-up-process.ts')
  const sender = fork(program, ['send', String(events), join(folder, 'floor-sender')])
  try {
    const { address, key } = await message<{ address: string; key: string }>(sender)
    const receiver = fork(program, ['receive', String(events), join(folder, 'floor-receiver'), address, key])
    try {
      return await message<CatchUpResult>(receiver)
    } finally {
      receiver.kill()
    }
  } finally {
    sender.kill()
  }
}

/** The next message of a child process; rejects when it ends first. */
export function message<T>(child: ReturnType<typeof fork>): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error('a benchmark process ended early'))
    child.once('exit', ended)
    child.once('message', (value) => {
      child.off('exit', ended)
      resolve(value as T)
    })
  })
}
