import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createReadStream, readFileSync } from 'node:fs'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { fromHex } from '../../src/base/bytes.ts'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { signingKeyFromSeed } from '../../src/identity/ed25519.ts'
import { claimedHead } from '../../src/log/append-check.ts'
import { encodeBlocks, writeSeal } from '../../src/log/append-codec.ts'
import { type ExportOptions, type ExportSource, exportLog } from '../../src/log/export.ts'
import { type Head, sealStatement } from '../../src/log/statement.ts'
import { type ExportReport, verifyExport } from '../../src/log/verify-export.ts'
import * as reference from '../vectors/reference.ts'
import { flipped, random, sealedUp, systematic } from './export-mutations.ts'
import {
  admission,
  append,
  event,
  linesOf,
  MESH,
  PREIMAGE,
  SEEDS,
  type Story,
  sourceOf,
  tellStory
} from './export-story.ts'

const ROOT = dirname(dirname(import.meta.dirname))
const SCRIPT = join(ROOT, 'scripts', 'verify-export.mjs')
let folder = ''

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pmesh-export-'))
})
after(() => rm(folder, { recursive: true, force: true }))

async function exported(source: ExportSource, options: ExportOptions = {}): Promise<string> {
  const chunks: Buffer[] = []
  const summary = await exportLog(source, async (chunk) => void chunks.push(Buffer.from(chunk)), options)
  const bytes = Buffer.concat(chunks)
  assert.equal(summary.bytes, bytes.length)
  return bytes.toString('utf8')
}

interface ScriptFile extends ExportReport {
  readonly file: string
  readonly digest?: string
}

interface ScriptReport {
  readonly ok: boolean
  readonly identical: boolean
  readonly files: readonly ScriptFile[]
  readonly notChecked: string
}

function runScript(
  args: readonly string[],
  nodeOptions: readonly string[] = []
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...nodeOptions, SCRIPT, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 120_000
    })
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.once('error', reject)
    child.once('close', (status) => resolve({ status, stdout, stderr }))
  })
}

async function script(...files: string[]): Promise<ScriptReport & { status: number | null }> {
  const { status, stdout, stderr } = await runScript(['--json', ...files])
  assert.equal(stderr, '')
  return { ...(JSON.parse(stdout) as ScriptReport), status }
}

async function fileOf(name: string, content: string): Promise<string> {
  const path = join(folder, `${name.replaceAll(/[^a-z0-9]+/gi, '-')}.jsonl`)
  await writeFile(path, content)
  return path
}

const ownAnswer = (file: string): Promise<ExportReport> => verifyExport(() => createReadStream(file))

test('CHAIN-12 the verifier has at most 200 lines and imports nothing but Node', () => {
  const source = readFileSync(SCRIPT, 'utf8')
  assert.ok(source.split('\n').length - 1 <= 200, `${source.split('\n').length - 1} lines`)
  const imports = [...source.matchAll(/\bimport\b[^\n]*?from '([^']+)'/g)].map((match) => match[1])
  assert.ok(imports.length > 0 && imports.every((name) => name?.startsWith('node:')))
  assert.equal(/\brequire\(|\bimport\(/.test(source), false)
})

test('CHAIN-12 an export is what the slow reference writes, byte for byte, in whatever order a node lists what it knows', async () => {
  const story = tellStory()
  assert.equal(await exported(sourceOf(story)), linesOf(story).join(''))
  const vector = readFileSync(join(ROOT, 'test', 'vectors', 'export-1.jsonl'), 'utf8')
  const path = await fileOf('vector', vector)
  assert.deepEqual([(await script(path)).status, (await ownAnswer(path)).verdict], [0, 'verified'])
})

test('CHAIN-12 a whole export is verified by the script and by the node, with its fork and its erasures', async () => {
  const path = await fileOf('whole', linesOf(tellStory()).join(''))
  const { ok, status, files } = await script(path)
  const own = await ownAnswer(path)
  assert.deepEqual([ok, status, files[0]?.verdict, own.verdict], [true, 0, 'verified', 'verified'])
  assert.deepEqual([files[0]?.events, files[0]?.erased, files[0]?.forks.length], [22, 1, 1])
  assert.deepEqual([own.events, own.erased, own.forks.length], [22, 1, 1])
})

test('CHAIN-12 the export of one author holds her chains alone, and her membership is not called checked', async () => {
  const author = reference.publicKey(SEEDS.carol)
  const content = await exported(sourceOf(tellStory()), { author })
  assert.equal(content.includes(reference.publicKey(SEEDS.bob)), false)
  const path = await fileOf('one-author', content)
  const { files } = await script(path)
  assert.equal(files[0]?.verdict, (await ownAnswer(path)).verdict)
  assert.deepEqual([files[0]?.verdict, files[0]?.code], ['incomplete', 'LOG_VERIFICATION_FAILED'])
  const bob = await fileOf(
    'one-author-bob',
    await exported(sourceOf(tellStory()), { author: reference.publicKey(SEEDS.bob) })
  )
  assert.deepEqual([(await script(bob)).files[0]?.verdict, (await ownAnswer(bob)).verdict], ['verified', 'verified'])
})

test('CHAIN-12 an export can be cancelled, and appends out of order are a defect that is not written over', async () => {
  const source = sourceOf(tellStory())
  const controller = new AbortController()
  controller.abort()
  await assert.rejects(
    exported(source, { signal: controller.signal }),
    (error) => isMeshError(error) && error.code === 'CANCELLED'
  )
  const backwards = { ...tellStory(), appends: [...tellStory().appends].reverse() }
  await assert.rejects(exported(sourceOf(backwards)), (error) => isMeshError(error) && error.code === 'INTERNAL')
})

test('SYNC-2 several exports are compared: identical chains, or which differ', async () => {
  const story = tellStory()
  const all = linesOf(story).join('')
  const [a, b] = [
    await fileOf('node-a', all),
    await fileOf('node-b', linesOf({ ...story, witnesses: story.witnesses.slice(1) }).join(''))
  ]
  const same = await script(a, b)
  assert.deepEqual([same.ok, same.identical, same.status], [true, true, 0])
  const last = story.appends.at(-1) as reference.ReferenceAppend
  const behind = await fileOf(
    'node-c',
    linesOf({
      ...story,
      appends: story.appends.slice(0, -1),
      witnesses: story.witnesses.filter((head) => head !== reference.computeAppend(last).head)
    }).join('')
  )
  const different = await script(a, b, behind)
  assert.deepEqual([different.ok, different.identical, different.status], [false, false, 14])
  assert.ok(different.files.every(({ verdict }) => verdict === 'verified'))
})

test('CHAIN-12 without a file the script tells its usage; a person reads what was not checked', async () => {
  assert.deepEqual([(await runScript([])).status, (await runScript([])).stderr.startsWith('usage:')], [2, true])
  const { stdout, status } = await runScript([await fileOf('for-people', linesOf(tellStory()).join(''))])
  assert.equal(status, 0)
  assert.match(stdout, /verified, 22 events, 1 erased/)
  assert.match(stdout, /not checked: roles, rights, cuts/)
})

test('CHAIN-12 CHAIN-1 CHAIN-2 CHAIN-7 the script and the node agree on more than 100 mutated exports', async (t) => {
  const mutations = [...systematic(), ...random(60)]
  assert.ok(mutations.length >= 160, `${mutations.length} mutations`)
  const original = linesOf(tellStory()).join('')
  const paths: string[] = []
  for (const [index, [name, content]] of mutations.entries()) {
    assert.notEqual(content, original, name)
    paths.push(await fileOf(`${index} ${name.slice(0, 40)}`, content))
  }
  const { files, ok } = await script(...paths)
  assert.equal(ok, false)
  assert.equal(files.length, mutations.length)
  for (const [index, [name, , verdict, code]] of mutations.entries()) {
    await t.test(name, async () => {
      const [theirs, own] = [files[index] as ScriptFile, await ownAnswer(paths[index] as string)]
      assert.equal(
        theirs.verdict,
        own.verdict,
        `script: ${theirs.code} ${theirs.message}; node: ${own.code} ${own.message}`
      )
      if (verdict === undefined) assert.notEqual(own.verdict, 'verified')
      else assert.equal(own.verdict, verdict, `${own.code} ${own.message}`)
      if (code !== undefined) assert.deepEqual([theirs.code, own.code], [code, code])
    })
  }
})

test('MEMBER-5 the recovery key’s founder and those whom she admits are members of the export', async () => {
  const carol = reference.publicKey(SEEDS.carol)
  const cuts = [{ chain: 0, epoch: 1, seq: 2, id: '00'.repeat(32) }]
  const named = {
    founder: carol,
    counter: 1,
    cuts,
    signature: reference.refounding(SEEDS.recovery, MESH, carol, 1, cuts)
  }
  const alices = append(SEEDS.alice, {}, [event('mesh-founded', PREIMAGE), event('app-note', {})])
  const carols = append(SEEDS.carol, {}, [
    event('founder-named', named),
    admission('carol', reference.publicKey(SEEDS.mallory), 1, 1)
  ])
  const mallorys = append(SEEDS.mallory, {}, [event('chain-opened', {})])
  const story = (appends: readonly reference.ReferenceAppend[]): Story => ({
    appends: [...appends].sort((a, b) => (reference.publicKey(a.seed) < reference.publicKey(b.seed) ? -1 : 1)),
    forks: [],
    witnesses: []
  })
  const good = await fileOf('refounded', linesOf(story([alices, carols, mallorys])).join(''))
  assert.deepEqual([(await script(good)).files[0]?.verdict, (await ownAnswer(good)).verdict], ['verified', 'verified'])
  const forged = append(SEEDS.carol, {}, [event('founder-named', { ...named, signature: '00'.repeat(64) })])
  const bad = await fileOf('refounded-badly', linesOf(story([alices, forged])).join(''))
  assert.deepEqual([(await script(bad)).files[0]?.code, (await ownAnswer(bad)).code], ['LOG_UNKNOWN', 'LOG_UNKNOWN'])
})

test('MEMBER-5 the node’s own check knows cuts: events behind one make an export that it does not verify', async () => {
  const bob = reference.publicKey(SEEDS.bob)
  const removal = event('member-removed', { subject: bob, cuts: [{ chain: 0, epoch: 1, seq: 1, id: '00'.repeat(32) }] })
  const alices = append(SEEDS.alice, {}, [event('mesh-founded', PREIMAGE), admission('alice', bob, 1, 1), removal])
  const bobs = (count: number) =>
    append(
      SEEDS.bob,
      {},
      Array.from({ length: count }, () => event('app-note', {}))
    )
  const verdictOf = async (count: number) => {
    const appends = [alices, bobs(count)].sort((a, b) =>
      reference.publicKey(a.seed) < reference.publicKey(b.seed) ? -1 : 1
    )
    return (await ownAnswer(await fileOf(`cut ${count}`, linesOf({ appends, forks: [], witnesses: [] }).join(''))))
      .verdict
  }
  assert.deepEqual([await verdictOf(1), await verdictOf(2)], ['verified', 'tampered'])
})

test('CHAIN-2 a bad inner seal counts once a good one is linked behind it, and not at the end', async () => {
  const lines = (goodEnd: boolean): string => {
    const first = append(SEEDS.alice, {}, [event('mesh-founded', PREIMAGE)])
    const computed = reference.computeAppend(first)
    const badSeal = flipped(computed.seal, 3)
    const badLink = reference.sha256(reference.tag('link') + computed.statement + badSeal)
    const second = append(SEEDS.alice, { firstSeq: 2, prev: badLink }, [event('app-note', {})])
    const appends = goodEnd ? [first, second] : [first]
    return sealedUp(linesOf({ appends, forks: [], witnesses: [] }).map((line) => line.replace(computed.seal, badSeal)))
  }
  for (const [goodEnd, verdict] of [
    [true, 'verified'],
    [false, 'tampered']
  ] as const) {
    const path = await fileOf(`inner seal ${goodEnd}`, lines(goodEnd))
    assert.deepEqual([(await script(path)).files[0]?.verdict, (await ownAnswer(path)).verdict], [verdict, verdict])
  }
})

/** A founder's chain of any length, made append by append. */
function longSource(events: number): ExportSource {
  const key = signingKeyFromSeed(fromHex(SEEDS.alice))
  const mesh = fromHex(MESH)
  const { nonce, name, recovery } = PREIMAGE
  return {
    mesh,
    preimage: {
      founder: key.publicKey,
      recovery: recovery === null ? null : fromHex(recovery),
      nonce: fromHex(nonce),
      name
    },
    async *appends() {
      const row = {
        flags: 0,
        encoding: 0,
        type: 'app-note',
        scope: new Uint8Array(16),
        timeMs: 1,
        timeCounter: 0,
        salt: Buffer.alloc(16, 7),
        payload: Buffer.from('{"words":"some words of an event"}')
      }
      let prev: Uint8Array = new Uint8Array(32)
      for (let firstSeq = 1; firstSeq <= events; ) {
        const count = Math.min(500, events - firstSeq + 1)
        const blocks = encodeBlocks(
          { author: key.publicKey, chain: 0, epoch: 1, firstSeq, prev },
          Array.from({ length: count }, () => row)
        )
        const head: Head = sealStatement(claimedHead(mesh, blocks), key)
        writeSeal(blocks, head.seal)
        yield { head, blocks }
        prev = head.link
        firstSeq += count
      }
    },
    forks: () => [],
    witnesses: () => []
  }
}

test('CHAIN-11 a long export is written and verified in bounded memory', async () => {
  const events = Number(process.env.PMESH_EXPORT_EVENTS ?? 40_000)
  const path = join(folder, 'long.jsonl')
  const file = await open(path, 'w')
  let largest = 0
  await exportLog(longSource(events), async (chunk) => {
    largest = Math.max(largest, chunk.length)
    await file.write(chunk)
  })
  await file.close()
  assert.ok(largest < 2 * 1024 * 1024)
  const { stdout, status } = await runScript(['--json', path], ['--max-old-space-size=64', '--max-semi-space-size=4'])
  assert.deepEqual([status, (JSON.parse(stdout) as ScriptReport).files[0]?.events], [0, events])
})
