// Queries by time and by type, beside LevelDB reading as many entries of as many bytes; and the bytes per event on the disk.

import { join } from 'node:path'
import { type EventQuery, queryEvents } from '../src/log/event-query.ts'
import { type BenchLog, fillLog, openBenchLog, RARE_TYPE } from './bench-log.ts'
import { fillScanFloor, scanFloor } from './floors/scan-floor.ts'
import { byTurns, diskBytes, inFolder, type Measurement, measurement } from './measure.ts'
import { EVENT_FLOOR_BYTES, PAYLOAD_BYTES, payloads } from './payload.ts'

const EVENTS = 200_000
const TAKEN = 15_000
const ROUNDS = 5

export function measureQueries(names: ReadonlySet<string>): Promise<Measurement[]> {
  return inFolder(async (folder) => {
    const measured: Measurement[] = []
    const opened = await openBenchLog(join(folder, 'log'))
    const start = Date.now()
    await fillLog(opened.log, payloads(5000), EVENTS)
    const fromMs = Math.round((start + Date.now()) / 2)
    if (names.has('query-time')) measured.push(await measureQuery(opened, folder, 'query-time', { fromMs }))
    if (names.has('query-type')) measured.push(await measureQuery(opened, folder, 'query-type', { type: RARE_TYPE }))
    await opened.close()
    if (names.has('disk-bytes')) {
      const bytes = diskBytes(join(folder, 'log', 'store')) / EVENTS
      measured.push(
        measurement('disk-bytes', 'bytes/event', bytes, EVENT_FLOOR_BYTES, `${EVENTS} events of ${PAYLOAD_BYTES} bytes`)
      )
    }
    return measured
  })
}

async function measureQuery(opened: BenchLog, folder: string, what: string, query: EventQuery): Promise<Measurement> {
  const database = await fillScanFloor(join(folder, `floor-${what}`), TAKEN * 4)
  const { value, floor } = await byTurns(
    ROUNDS,
    () => queryRate(opened, query),
    () => scanFloor(database, TAKEN, TAKEN)
  )
  await database.close()
  return measurement(what, 'events/s', value, floor, `${TAKEN} of ${EVENTS} events, in display order`)
}

async function queryRate({ store, log }: BenchLog, query: EventQuery): Promise<number> {
  const start = performance.now()
  let read = 0
  for await (const _ of queryEvents({ store, reader: log.reader, state: log.state }, query)) {
    if (++read === TAKEN) break
  }
  if (read !== TAKEN) throw new Error(`the query gave ${read} of ${TAKEN} events`)
  return TAKEN / ((performance.now() - start) / 1000)
}
