// Durable appends with 1, 16 and 256 callers, each waiting for its event before the next one.

import { BENCH_TYPE, openBenchLog } from './bench-log.ts'
import { appendFloor } from './floors/append-floor.ts'
import { byTurns, inFolder, type Measurement, measurement } from './measure.ts'
import { payloads } from './payload.ts'

const ROUNDS = 3
const ROUND_MS = 2000

export async function measureAppend(callers: number): Promise<Measurement> {
  const pool = payloads(5000)
  const { value, floor } = await byTurns(
    ROUNDS,
    () => appendRate(callers, pool),
    () => appendFloor(callers, pool, ROUND_MS)
  )
  return measurement(`append-${callers}`, 'events/s', value, floor, `${callers} callers, fsynced before each answer`)
}

function appendRate(callers: number, pool: readonly Uint8Array[]): Promise<number> {
  return inFolder(async (folder) => {
    const { log, close } = await openBenchLog(folder)
    const start = performance.now()
    let count = 0
    const caller = async () => {
      while (performance.now() - start < ROUND_MS) {
        await log.append([{ type: BENCH_TYPE, payload: pool[count++ % pool.length] as Uint8Array }])
      }
    }
    await Promise.all(Array.from({ length: callers }, caller))
    const seconds = (performance.now() - start) / 1000
    await close()
    return count / seconds
  })
}
