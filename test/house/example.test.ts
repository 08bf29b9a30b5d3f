import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'smol-toml'

const root = dirname(dirname(import.meta.dirname))

test('the example agents.toml is TOML, and each of its credentials is made up', async () => {
  const example = parse(await readFile(join(root, 'keys.example', 'agents.toml'), 'utf8'))
  const keys = Object.values(example.providers ?? {}).flatMap(
    (provider: { api_key?: string }) => provider.api_key ?? []
  )
  assert.ok(keys.length > 0)
  for (const key of keys) assert.match(key, /^enc2:v1:0{8}:THIS-IS-AN-EXAMPLE/)
})
