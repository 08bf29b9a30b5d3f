// Sorted map of byte strings for the memory store: chunks of bounded size, copied on write once a snapshot shares them.
// Keys are held as latin1 text, whose order is the order of the bytes and which compares faster than buffers.

export interface MapEntry {
  readonly text: string
  readonly key: Uint8Array
  readonly value: Uint8Array
}

interface Chunk {
  readonly generation: number
  readonly entries: MapEntry[]
}

const CHUNK_ENTRIES_MAX = 256

/** What a map held at one moment. */
export interface MapSnapshot {
  readonly chunks: readonly Chunk[]
}

export function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
}

export class SortedMap {
  #chunks: Chunk[] = []
  #generation = 0

  get(text: string): MapEntry | null {
    const chunk = this.#chunks[this.#chunkOf(text)]
    if (chunk === undefined) return null
    const entry = chunk.entries[lowerBound(chunk.entries, text)]
    return entry?.text === text ? entry : null
  }

  set(entry: MapEntry): void {
    if (this.#chunks.length === 0) this.#chunks.push({ generation: this.#generation, entries: [] })
    const at = this.#chunkOf(entry.text)
    const { entries } = this.#owned(at)
    const place = lowerBound(entries, entry.text)
    entries.splice(place, entries[place]?.text === entry.text ? 1 : 0, entry)
    if (entries.length <= CHUNK_ENTRIES_MAX) return
    // Most keys arrive in order: a full last chunk stays full.
    const half =
      at === this.#chunks.length - 1 && place === entries.length - 1 ? CHUNK_ENTRIES_MAX : CHUNK_ENTRIES_MAX / 2
    this.#chunks.splice(at + 1, 0, { generation: this.#generation, entries: entries.splice(half) })
  }

  delete(text: string): void {
    if (this.get(text) === null) return
    const at = this.#chunkOf(text)
    const { entries } = this.#owned(at)
    entries.splice(lowerBound(entries, text), 1)
    if (entries.length === 0) this.#chunks.splice(at, 1)
  }

  snapshot(): MapSnapshot {
    this.#generation++
    return { chunks: [...this.#chunks] }
  }

  restore(snapshot: MapSnapshot): void {
    this.#generation++
    this.#chunks = [...snapshot.chunks]
  }

  #owned(at: number): Chunk {
    const chunk = this.#chunks[at] as Chunk
    if (chunk.generation === this.#generation) return chunk
    const copy = { generation: this.#generation, entries: [...chunk.entries] }
    this.#chunks[at] = copy
    return copy
  }

  #chunkOf(text: string): number {
    return chunkIndex(this.#chunks, text)
  }
}

/** Entries with from ≤ key < to, in key order or against it. */
export function* entriesBetween(
  snapshot: MapSnapshot,
  from: string,
  to: string,
  reverse: boolean
): Generator<MapEntry> {
  const { chunks } = snapshot
  if (chunks.length === 0 || from >= to) return
  const first = chunkIndex(chunks, from)
  const last = chunkIndex(chunks, to)
  for (let step = 0; step <= last - first; step++) {
    const { entries } = chunks[reverse ? last - step : first + step] as Chunk
    const start = lowerBound(entries, from)
    const end = lowerBound(entries, to)
    for (let index = start; index < end; index++) yield entries[reverse ? start + end - 1 - index : index] as MapEntry
  }
}

/** The chunk that holds `text` or would: the last one that begins at or before it. */
function chunkIndex(chunks: readonly Chunk[], text: string): number {
  let low = 0
  let high = chunks.length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if (((chunks[middle] as Chunk).entries[0] as MapEntry).text <= text) low = middle
    else high = middle - 1
  }
  return low
}

function lowerBound(entries: readonly MapEntry[], text: string): number {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((entries[middle] as MapEntry).text < text) low = middle + 1
    else high = middle
  }
  return low
}
