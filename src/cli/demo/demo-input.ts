// What the demo appends: the lines of a file exactly as they are, or records of what lies beside the program. Repeats them, and says so,
// when there are too few to see rates and to kill a node amid them.

import { createReadStream } from 'node:fs'
import { LIMITS } from '../../base/limits.ts'
import { MeshError } from '../../base/mesh-error.ts'
import { jsonObjectFault } from '../../log/strict-json.ts'
import { LineReader } from '../../rpc/line-reader.ts'
import { systemCode } from '../../rpc/socket-file.ts'
import { countOf } from '../human-text.ts'
import { recordsAround } from './surrounding-records.ts'

/** Fewer are repeated. */
const EVENTS_MIN = 2_000
/** Repeating stops here: three nodes store each event. */
const REPEATED_BYTES_MAX = 8 * 1024 * 1024
const LINES_MAX = 50_000
const BYTES_MAX = 64 * 1024 * 1024

export interface DemoInput {
  /** JSON objects, each to be appended once. */
  readonly texts: readonly string[]
  /** Where they come from, in words. */
  readonly source: string
  /** Records of the source. */
  readonly records: number
  /** How often each record is appended. */
  readonly rounds: number
}

/** The input of a demo. `root` is the folder of the program. USAGE, EVENT_INVALID, EVENT_TOO_LARGE: what is wrong with `file`. */
export async function readDemoInput(
  file: string | undefined,
  root: string,
  options: { readonly env: NodeJS.ProcessEnv; readonly signal: AbortSignal }
): Promise<DemoInput> {
  if (file !== undefined) return repeated(await linesOfFile(file, options.signal), file)
  const { records, source } = await recordsAround(root, EVENTS_MIN, options)
  return repeated(
    records.map((record) => JSON.stringify(record)),
    source
  )
}

function repeated(texts: readonly string[], source: string): DemoInput {
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  const wanted = Math.ceil(EVENTS_MIN / texts.length)
  const rounds = Math.max(1, Math.min(wanted, Math.floor(REPEATED_BYTES_MAX / bytes)))
  return { texts: Array.from({ length: rounds }, () => texts).flat(), source, records: texts.length, rounds }
}

async function linesOfFile(file: string, signal: AbortSignal): Promise<string[]> {
  const texts: string[] = []
  let [line, bytes] = [0, 0]
  const take = (content: Buffer) => {
    line++
    bytes += content.length
    const text = objectOf(content, file, line)
    if (text !== null) texts.push(text)
    if (texts.length > LINES_MAX || bytes > BYTES_MAX) throw tooMuch(file)
  }
  const reader = new LineReader(LIMITS.payloadBytesMax)
  try {
    for await (const chunk of createReadStream(file, { signal })) {
      const { lines, tooLong } = reader.push(chunk as Buffer)
      for (const content of lines) take(content)
      if (tooLong) {
        throw new MeshError(
          'EVENT_TOO_LARGE',
          `cannot use line ${line + 1}: it is longer than ${LIMITS.payloadBytesMax} bytes`,
          {
            details: { file, line: line + 1 }
          }
        )
      }
    }
  } catch (cause) {
    throw readError(cause, file, signal)
  }
  const rest = reader.end()
  if (rest !== null) take(rest)
  if (texts.length > 0) return texts
  throw new MeshError('USAGE', 'cannot use the input: there is no JSON object in it', {
    details: { file },
    hint: 'Give a file with one JSON object per line.'
  })
}

/** The text of a line; null for a blank one. */
function objectOf(content: Buffer, file: string, line: number): string | null {
  const bytes = content.at(-1) === 0x0d ? content.subarray(0, -1) : content
  if (bytes.every((byte) => byte === 0x20 || byte === 0x09)) return null
  const fault = jsonObjectFault(bytes)
  if (fault === null) return bytes.toString().trim()
  throw new MeshError('EVENT_INVALID', `cannot use line ${line}: ${fault}`, {
    details: { file, line },
    hint: 'Each line must be one JSON object.'
  })
}

function tooMuch(file: string): MeshError {
  return new MeshError('USAGE', `cannot use the input: a demo takes at most ${countOf(LINES_MAX, 'line')} and 64 MiB`, {
    details: { file },
    hint: 'Give a part of it: head -n 10000 FILE'
  })
}

function readError(cause: unknown, file: string, signal: AbortSignal): unknown {
  const code = systemCode(cause)
  if (signal.aborted) return new MeshError('CANCELLED', 'cancelled')
  if (cause instanceof MeshError || code === '') return cause
  const why = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : code
  return new MeshError('USAGE', `cannot read the input: ${why}`, {
    details: { file },
    hint: 'Give a file with one JSON object per line.',
    cause
  })
}
