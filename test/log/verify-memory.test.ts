// Memory that is still held after a collection, so that neither garbage nor the database's mapped files count.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { silentLogger } from '../../src/base/logger.ts'
import { verifyLog } from '../../src/log/verify-log.ts'
import { openLevelStore } from '../../src/store/open-level-store.ts'
import { founded, note, testMesh } from './log-kit.ts'

const MIB = 1024 * 1024
const LOG_BYTES = 48 * MIB
const HELD_BYTES_MAX = 12 * MIB
const LONG = 'x'.repeat(60_000)

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function heldBytes(): number {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

test('CHAIN-11 verifying holds a few appends at a time, however long the log', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'pmesh-memory-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const mesh = testMesh()
  const places = { folder: join(folder, 'store'), backups: join(folder, 'backups') }
  const store = await openLevelStore({ ...places, expectedMesh: mesh.id, logger: silentLogger })
  t.after(() => store.close())
  const log = await founded(mesh, { store })
  const batch = [note(LONG), note(LONG), note(LONG)]
  for (let written = 0; written < LOG_BYTES; written += batch.length * LONG.length) await log.append(batch)

  const before = heldBytes()
  let most = 0
  let looks = 0
  let next = 0
  const [report] = await verifyLog(log.state, log.reader, {
    author: mesh.alice.publicKeyHex,
    signal: new AbortController().signal,
    progress: (done, total) => {
      if (done < next) return
      next = done + total / 12
      looks += 1
      most = Math.max(most, heldBytes() - before)
    }
  })
  assert.equal(report?.fault, null)
  assert.ok(looks >= 10, `only ${looks} looks`)
  assert.ok(most < HELD_BYTES_MAX, `held ${Math.round(most / MIB)} MiB of ${LOG_BYTES / MIB}`)
})
