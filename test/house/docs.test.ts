import assert from 'node:assert/strict'
import { test } from 'node:test'
import { foreignLines, namedScripts, relativeLinks } from '../../scripts/doc-rules.ts'

test('relative links are found, in both forms; addresses, fragments and code are not links', () => {
  const text = [
    '[a](docs/a.md) and [b](../b.md#part "title") but [c](https://example.org/c) and [d](#d)',
    '`[e](code.md)`',
    '```',
    '[f](block.md)',
    '```',
    '[g]: named.md'
  ].join('\n')
  assert.deepEqual(relativeLinks(text), ['docs/a.md', '../b.md', 'named.md'])
})

test('commands that a page names are found', () => {
  assert.deepEqual(namedScripts('`npm run demo`, npm run --silent kill-loop -- --rounds 5, npm test'), [
    'demo',
    'kill-loop',
    'test'
  ])
  assert.deepEqual(namedScripts('npm install'), [])
})

test('a path or download host of one machine is found, with its line', () => {
  const places = ['work', 'root'].map((name) => `see ${['', name, 'x'].join('/')}`)
  const host = `"resolved": "${'https'}://registry.example/x.tgz"`
  assert.deepEqual(foreignLines(['fine', ...places, host].join('\n')), [2, 3, 4])
  assert.deepEqual(
    foreignLines(`src/network/x.ts, .${['', 'root', 'x'].join('/')}, ~/home, https://example.org/docs`),
    []
  )
})
