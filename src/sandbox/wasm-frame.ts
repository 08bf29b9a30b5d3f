// What passes between the host and the process of one WASM module: the length of all that follows, a JSON header behind its own length, then byte
// strings whose sizes it names. The reader of a frame trusts no size in it.

export interface WasmJob {
  readonly args: readonly string[]
  readonly outputBytes: number
  /** How much files may grow by in all. */
  readonly fileBytes: number
  /** Descriptors at once, the streams included. */
  readonly openMax: number
  /** Null: no folder at all. Otherwise the paths of the files that follow the module and the input. */
  readonly files: readonly string[] | null
}

/** `fault`: the process could not do its work, which is no fault of the module. */
export type WasmEnd = 'exit' | 'trap' | 'memory' | 'output' | 'unloadable' | 'fault'

export interface WasmAnswer {
  readonly end: WasmEnd
  readonly exitCode: number
  /** Paths of the files that follow the two streams: new or changed. */
  readonly files: readonly string[]
  readonly removed: readonly string[]
}

export interface Frame<Header> {
  readonly header: Header
  readonly parts: readonly Uint8Array[]
}

/** A process says this once it waits for its job. */
export const READY = Buffer.from('pmesh-wasm-1\n')

const LENGTH_BYTES = 4

export function encodeFrame<Header>({ header, parts }: Frame<Header>): Buffer {
  const text = Buffer.from(JSON.stringify({ header, sizes: parts.map((part) => part.length) }))
  const start = Buffer.alloc(2 * LENGTH_BYTES)
  start.writeUInt32BE(parts.reduce((sum, part) => sum + part.length, LENGTH_BYTES + text.length))
  start.writeUInt32BE(text.length, LENGTH_BYTES)
  return Buffer.concat([start, text, ...parts])
}

/** How many bytes the frame that begins so has in all; null while that is not known. */
export function frameLength(start: Buffer): number | null {
  return start.length < LENGTH_BYTES ? null : LENGTH_BYTES + start.readUInt32BE(0)
}

/** Null when `bytes` are not one whole frame; the header's own fields are still to be looked at. */
export function tryDecodeFrame(bytes: Buffer): Frame<Readonly<Record<string, unknown>>> | null {
  if (bytes.length < 2 * LENGTH_BYTES || frameLength(bytes) !== bytes.length) return null
  const start = 2 * LENGTH_BYTES + bytes.readUInt32BE(LENGTH_BYTES)
  const parsed = start > bytes.length ? null : tryParse(bytes.toString('utf8', 2 * LENGTH_BYTES, start))
  if (parsed === null) return null
  const parts: Uint8Array[] = []
  let at = start
  for (const size of parsed.sizes) {
    parts.push(bytes.subarray(at, at + size))
    at += size
  }
  return at === bytes.length ? { header: parsed.header, parts } : null
}

function tryParse(text: string): { header: Record<string, unknown>; sizes: number[] } | null {
  try {
    const { header, sizes } = JSON.parse(text)
    const fits = Array.isArray(sizes) && sizes.every((size) => Number.isSafeInteger(size) && size >= 0)
    return fits && typeof header === 'object' && header !== null ? { header, sizes } : null
  } catch {
    // JSON.parse has no other way to say "not JSON"
    return null
  }
}
