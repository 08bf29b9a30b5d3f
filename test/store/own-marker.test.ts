import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { silentLogger } from '../../src/base/logger.ts'
import { signingKeyFromSeed } from '../../src/identity/ed25519.ts'
import { type Head, sameHead, sealStatement } from '../../src/log/statement.ts'
import { markerFits, OwnMarkerWriter, readMarker, storePlace, writeMarker } from '../../src/store/own-marker.ts'

let home: string
let path: string
let store: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'pmesh-marker-'))
  path = join(home, 'store.marker')
  store = join(home, 'store')
  mkdirSync(store)
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

const key = signingKeyFromSeed(new Uint8Array(32).fill(7))
function headAt(firstSeq: number): Head {
  const zeros = new Uint8Array(32)
  return sealStatement(
    { mesh: zeros, author: key.publicKey, chain: 0, epoch: 1, firstSeq, count: 1, prev: zeros, lastId: zeros },
    key
  )
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'the condition did not come true')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('CHAIN-13 a marker fits where it was written, and not beside a copy of the store or on another machine', async () => {
  const place = storePlace(store)
  await writeMarker(path, { ...place, head: headAt(7) })
  const marker = readMarker(path, silentLogger)
  assert.ok(marker !== null && sameHead(marker.head, headAt(7)))
  assert.equal(markerFits(marker, storePlace(store)), true)
  cpSync(store, join(home, 'copy'), { recursive: true })
  assert.equal(markerFits(marker, storePlace(join(home, 'copy'))), false)
  assert.equal(markerFits(marker, { ...place, machineId: '00'.repeat(32) }), false)
  assert.equal(statSync(path).mode & 0o777, 0o600)
})

test('the machine’s own id is not in the marker', async () => {
  await writeMarker(path, { ...storePlace(store), head: headAt(1) })
  const machine = existsSync('/etc/machine-id') ? readFileSync('/etc/machine-id', 'utf8').trim() : ''
  if (machine !== '') assert.equal(readFileSync(path, 'utf8').includes(machine), false)
})

test('CHAIN-13 a missing, damaged or forged marker is none', async () => {
  const warnings: string[] = []
  const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) }
  assert.equal(readMarker(path, logger), null)
  assert.deepEqual(warnings, [])
  await writeMarker(path, { ...storePlace(store), head: headAt(7) })
  const text = readFileSync(path, 'utf8')
  const marker = JSON.parse(text) as { head: string }
  const forged = `${marker.head.slice(0, 150)}${marker.head[150] === '0' ? '1' : '0'}${marker.head.slice(151)}`
  for (const broken of [
    '',
    '{',
    'null',
    text.slice(0, -20),
    text.replace('"format":1', '"format":2'),
    text.replace(marker.head, forged)
  ]) {
    writeFileSync(path, broken)
    assert.equal(readMarker(path, logger), null, broken)
  }
  assert.equal(warnings.length, 6)
})

test('the writer never makes its caller wait, keeps only the newest head and writes the last one at stop', async () => {
  const writer = new OwnMarkerWriter({ path, place: storePlace(store), logger: silentLogger, intervalMs: 20 })
  for (let seq = 1; seq <= 1000; seq++) writer.note(headAt(seq))
  assert.equal(existsSync(path), false)
  const running = setInterval(() => undefined, 1000)
  await until(() => writer.writes === 1)
  clearInterval(running)
  assert.equal(readMarker(path, silentLogger)?.head.firstSeq, 1000)
  writer.note(headAt(1001))
  writer.note(headAt(1002))
  await writer.stop()
  assert.equal(readMarker(path, silentLogger)?.head.firstSeq, 1002)
  assert.equal(writer.writes, 2)
})

test('a marker that cannot be written is tried again', async () => {
  const folder = join(home, 'later')
  const writer = new OwnMarkerWriter({
    path: join(folder, 'm'),
    place: storePlace(store),
    logger: silentLogger,
    intervalMs: 1
  })
  writer.note(headAt(1))
  await writer.flush()
  assert.equal(writer.writes, 0)
  mkdirSync(folder)
  await writer.stop()
  assert.equal(readMarker(join(folder, 'm'), silentLogger)?.head.firstSeq, 1)
})
