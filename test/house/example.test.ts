import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'smol-toml'
import { AgentsFile } from '../../src/config/agents-file.ts'
import { readAgentsSection } from '../../src/config/agents-section.ts'
import { KeyRing } from '../../src/identity/seal.ts'

const root = dirname(dirname(import.meta.dirname))
const example = await readFile(join(root, 'keys.example', 'agents.toml'), 'utf8')

test('the example agents.toml is TOML, and each of its credentials is made up', () => {
  const keys = Object.values(parse(example).providers ?? {}).flatMap(
    (provider: { api_key?: string }) => provider.api_key ?? []
  )
  assert.ok(keys.length > 0)
  for (const key of keys) assert.match(key, /^enc2:v1:0{8}:THIS-IS-AN-EXAMPLE/)
})

test('the example agents.toml is what the program reads: providers, agents and judges', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'pmesh-example-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'agents.toml')
  writeFileSync(path, example, { mode: 0o600 })
  const ring = new KeyRing({ id: '00000000', bytes: new Uint8Array(32) })
  const section = readAgentsSection(new AgentsFile(path, ring), {})
  assert.deepEqual([...section.agents.keys()], ['writer', 'helper'])
  for (const name of ['anthropic', 'local', 'work']) assert.equal(section.provider(name).name, name)
  assert.deepEqual(section.judges.models, ['anthropic/example-large', 'local/example-model'])
  assert.deepEqual(section.unread, [])
})
