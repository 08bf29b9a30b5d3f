// Exports of all nodes, judged by scripts/verify-export.mjs: another program, in a process of its own, that shares no code with the node.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { MeshError, messageOf } from '../../base/mesh-error.ts'
import { tryParseJsonObject } from '../../log/strict-json.ts'
import type { DemoNode } from './demo-node.ts'

const VERIFY_MS_MAX = 120_000
const ANSWER_BYTES_MAX = 16 * 1024 * 1024

export interface IndependentVerdict {
  /** Every export is verified and all hold the same. */
  readonly ok: boolean
  /** Of the appends, when it is the same in all exports. */
  readonly digest: string | null
  /** Events in an export, when it is the same number in all. */
  readonly events: number | null
  /** One line per export that is not verified. */
  readonly faults: readonly string[]
  readonly elapsedMs: number
}

/** Writes `export-NAME.jsonl` of each node into `folder` and has them verified. DEMO_FAILED when the verifier cannot be run. */
export async function verifyIndependently(
  nodes: readonly DemoNode[],
  options: { readonly folder: string; readonly root: string; readonly signal: AbortSignal }
): Promise<IndependentVerdict> {
  const { signal } = options
  const files = await Promise.all(
    nodes.map(async (node) => {
      const path = join(options.folder, `export-${node.name}.jsonl`)
      await node.client.call('log/export', { path }, { signal })
      return path
    })
  )
  const script = join(options.root, 'scripts', 'verify-export.mjs')
  if (!existsSync(script))
    throw new MeshError('DEMO_FAILED', 'the verifier is not there', { details: { file: script } })
  const startedAt = performance.now()
  const answer = tryParseJsonObject(Buffer.from((await runVerifier([script, '--json', ...files], signal)).trim()))
  const reports = Array.isArray(answer?.files) ? answer.files.map((report) => Object(report) as FileReport) : []
  if (answer === null || reports.length !== files.length)
    throw new MeshError('DEMO_FAILED', 'the verifier gave no answer', { details: { file: script } })
  const faults = reports
    .filter(({ verdict }) => verdict !== 'verified')
    .map(({ file, code, message }) => `${file}: ${code} ${message}`)
  return {
    ok: answer.ok === true && faults.length === 0 && commonOf(reports.map(({ digest }) => digest)) !== null,
    digest: commonOf(reports.map(({ digest }) => digest)),
    events: commonOf(reports.map(({ events }) => events)),
    faults,
    elapsedMs: performance.now() - startedAt
  }
}

interface FileReport {
  readonly file?: string
  readonly verdict?: string
  readonly code?: string | null
  readonly message?: string | null
  readonly digest?: string
  readonly events?: number
}

function commonOf<Value>(values: readonly (Value | undefined)[]): Value | null {
  return values.every((value) => value === values[0]) ? (values[0] ?? null) : null
}

/** What the verifier writes; its exit code says the same as its answer. */
function runVerifier(args: readonly string[], signal: AbortSignal): Promise<string> {
  const options = { signal, timeout: VERIFY_MS_MAX, maxBuffer: ANSWER_BYTES_MAX }
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      if (stdout !== '') resolve(stdout)
      else {
        const said = stderr.trim().split('\n').at(-1) || messageOf(error ?? 'no answer')
        reject(new MeshError('DEMO_FAILED', 'the verifier failed', { details: { said }, cause: error }))
      }
    })
  })
}
