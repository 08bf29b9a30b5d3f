// Opening a log of a million events, beside opening an empty store.

import { join } from 'node:path'
import { fillLog, openBenchLog, openBenchStore } from './bench-log.ts'
import { byTurns, inFolder, type Measurement, measurement } from './measure.ts'
import { payloads } from './payload.ts'

const ROUNDS = 5

export function measureOpen(events: number): Promise<Measurement> {
  return inFolder(async (folder) => {
    const [full, empty] = [join(folder, 'full'), join(folder, 'empty')]
    const filled = await openBenchLog(full)
    await fillLog(filled.log, payloads(5000), events)
    await filled.close()
    await (await openBenchStore(empty)).close()
    const openFull = async () => {
      const start = performance.now()
      const { close } = await openBenchLog(full)
      const ms = performance.now() - start
      await close()
      return ms
    }
    const openEmpty = async () => {
      const start = performance.now()
      const store = await openBenchStore(empty)
      const ms = performance.now() - start
      await store.close()
      return ms
    }
    const { value, floor } = await byTurns(ROUNDS, openFull, openEmpty)
    return measurement('open-1m', 'ms', value, floor, `${events} events; the floor opens an empty store`)
  })
}
