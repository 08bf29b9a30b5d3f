// npm run bench: every figure of the product beside the floor of the same run. node bench/main.ts [--json] [--events N] [NAME…]
// A figure alone means nothing on a shared machine; the ratio does.

import { parseArgs } from 'node:util'
import { measureAppend } from './append.ts'
import { measureCatchUp } from './catch-up.ts'
import { measureLiveBatch } from './live-batch.ts'
import type { Measurement } from './measure.ts'
import { measureOpen } from './open.ts'
import { measureQueries } from './query.ts'
import { measureRuns } from './runs.ts'
import { measureCommand, measureScript } from './sandboxes.ts'

const APPENDS = [1, 16, 256]
const OPEN_EVENTS = 1_000_000
const CATCH_UP_EVENTS = 200_000

const { values, positionals } = parseArgs({
  options: { json: { type: 'boolean', default: false }, events: { type: 'string' } },
  allowPositionals: true
})
const catchUpEvents = Number(values.events ?? CATCH_UP_EVENTS)

/** Benchmarks that share their preparation stand in one group. */
const GROUPS: readonly { names: readonly string[]; run: (wanted: ReadonlySet<string>) => Promise<Measurement[]> }[] = [
  ...APPENDS.map((callers) => ({ names: [`append-${callers}`], run: async () => [await measureAppend(callers)] })),
  { names: ['catch-up', 'wire-bytes'], run: (wanted) => measureCatchUp(catchUpEvents, wanted) },
  { names: ['live-batch'], run: async () => [await measureLiveBatch()] },
  { names: ['open-1m'], run: async () => [await measureOpen(OPEN_EVENTS)] },
  { names: ['query-time', 'query-type', 'disk-bytes'], run: measureQueries },
  { names: ['run-calc', 'runs-queued'], run: measureRuns },
  { names: ['script-warm'], run: async () => [await measureScript()] },
  { names: ['command'], run: async () => [await measureCommand()] }
]

const known = GROUPS.flatMap(({ names }) => names)
const unknown = positionals.filter((name) => !known.includes(name))
if (unknown.length > 0) {
  process.stderr.write(`no such benchmark: ${unknown.join(', ')}\nthere are: ${known.join(', ')}\n`)
  process.exit(2)
}
const wanted = new Set(positionals.length > 0 ? positionals : known)
if (!values.json) process.stdout.write(`${row('what', 'value', 'unit', 'floor', 'ratio')}\n`)
for (const { names, run } of GROUPS) {
  const here = new Set(names.filter((name) => wanted.has(name)))
  if (here.size === 0) continue
  for (const measured of await run(here)) print(measured)
}
process.exit(0)

function print({ what, value, unit, floor, ratio, note }: Measurement): void {
  if (values.json) process.stdout.write(`${JSON.stringify({ what, value, unit, floor, ratio })}\n`)
  else process.stdout.write(`${row(what, figure(value), unit, figure(floor), ratio.toFixed(2))}  ${note}\n`)
}

function row(what: string, value: string, unit: string, floor: string, ratio: string): string {
  return `${what.padEnd(12)} ${value.padStart(10)} ${unit.padEnd(11)} ${floor.padStart(10)} ${ratio.padStart(6)}`
}

function figure(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 2 })
}
