// What a benchmark hands back, how rounds are taken on a noisy machine, and temporary folders.

import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Unit = 'events/s' | 'ms' | 'bytes/event'

export interface Measurement {
  readonly what: string
  readonly value: number
  readonly unit: Unit
  /** The same work with the parts alone, in the same unit, measured in the same run. */
  readonly floor: number
  /** Better is larger: value ÷ floor for rates, floor ÷ value for times and sizes. */
  readonly ratio: number
  /** What else was seen, for people. */
  readonly note: string
}

export function measurement(what: string, unit: Unit, value: number, floor: number, note = ''): Measurement {
  const ratio = unit === 'events/s' ? value / floor : floor / value
  return { what, value: rounded(value), unit, floor: rounded(floor), ratio: Number(ratio.toFixed(3)), note }
}

function rounded(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toFixed(2))
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}

/** Runs both by turns, so that both see the same disk and the same neighbours; the median of each. */
export async function byTurns(
  rounds: number,
  product: () => Promise<number>,
  floor: () => Promise<number>
): Promise<{ value: number; floor: number }> {
  const values: number[] = []
  const floors: number[] = []
  for (let round = 0; round < rounds; round++) {
    floors.push(await floor())
    values.push(await product())
  }
  return { value: median(values), floor: median(floors) }
}

/** A folder of its own, removed when `use` ends. `BENCH_DIR` says on which disk. */
export async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const parent = process.env.BENCH_DIR ?? tmpdir()
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'pmesh-bench-'))
  try {
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Bytes that the files of a folder take on the disk. */
export function diskBytes(folder: string): number {
  let bytes = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) bytes += diskBytes(path)
    else {
      const stats = statSync(path)
      bytes += Math.min(stats.size, stats.blocks * 512)
    }
  }
  return bytes
}

/** Processor time of this process in seconds, all threads. */
export function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

export function mebibytes(bytes: number): number {
  return Math.round(bytes / 1_048_576)
}
