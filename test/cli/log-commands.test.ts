import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MeshError } from '../../src/base/mesh-error.ts'
import { createServedCli, jsonLines } from './cli-harness.ts'

test('event append takes one JSON text, or a line each from stdin exactly as it is', async (context) => {
  const cli = await createServedCli(context)
  const one = await cli.run('event', 'append', 'app-note', '{"b": 1,  "a": 2}')
  assert.match(one.stdout, /^appended 0{63}1 {3}epoch 0 {3}event 1\n$/)
  const lines = ['{"n": 1e21}', '{"text":"é"}', '  {"spaced" : true}  ', '', '{"z":1,"a":2}']
  const many = await cli.runWith({ stdin: lines.join('\n') }, 'event', 'append', 'app-note', '--json')
  assert.equal(many.code, 0)
  assert.deepEqual(
    jsonLines(many.stdout).map((receipt) => receipt.seq),
    [2, 3, 4, 5]
  )
  assert.deepEqual(
    cli.api.events.map((event) => event.json),
    ['{"b": 1,  "a": 2}', ...lines.filter((line) => line !== '')]
  )
})

test('event append sends appends of at most 1024 events and 192 KiB, in order', async (context) => {
  const cli = await createServedCli(context)
  const stdin = Array.from({ length: 5_000 }, (_, index) =>
    JSON.stringify({ index, text: 'x'.repeat(index % 300) })
  ).join('\n')
  const { code, stdout, stderr } = await cli.runWith({ stdin }, 'event', 'append', 'app-note', '--batch')
  assert.equal(code, 0)
  assert.equal(stdout, '')
  assert.match(stderr, /^appended 5 000 events in /)
  const appends = cli.api.appends
  assert.ok(appends.every((items) => items.length <= 1024))
  const bytesOf = (items: readonly { json: string; type: string }[]) =>
    items.reduce((sum, { json, type }) => sum + 192 + type.length + Math.ceil(json.length / 32) * 32, 0)
  assert.ok(appends.every((items) => bytesOf(items) <= 196_608))
  assert.ok(appends.length < 30, `${appends.length} appends`)
  assert.deepEqual(
    cli.api.events.map((event) => JSON.parse(event.json ?? '').index),
    Array.from({ length: 5_000 }, (_, index) => index)
  )
})

test('event append names the line that is wrong and keeps what came before it', async (context) => {
  const cli = await createServedCli(context)
  for (const [bad, pattern] of [
    ['{"a":', /cannot append line 3: it is not JSON\n {2}line {2}3\n/],
    ['[1]', /cannot append line 3: it is not a JSON object/],
    ['7', /cannot append line 3: it is not a JSON object/],
    [`{"a":"${'x'.repeat(70_000)}"}`, /cannot append line 3: it is longer than 65536 bytes/]
  ] as const) {
    const before = cli.api.events.length
    const { code, stderr } = await cli.runWith({ stdin: `{"a":1}\n\n${bad}\n{"a":2}\n` }, 'event', 'append', 'app-note')
    assert.equal(code, 2)
    assert.match(stderr, pattern)
    assert.equal(cli.api.events.length, before + 1)
  }
  const utf8 = await cli.runWith(
    { stdin: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d, 0x0a]) },
    'event',
    'append',
    'app-note'
  )
  assert.match(utf8.stderr, /line 1: it is not UTF-8/)
})

test('event append passes the node’s refusal on with its line', async (context) => {
  const cli = await createServedCli(context)
  const refused = await cli.runWith({ stdin: '{"a":1}\n{"a":2}\n' }, 'event', 'append', 'Wrong')
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /lines {5}1 to 2[\s\S]*appended {2}0[\s\S]*code {6}EVENT_TYPE_INVALID/)
  cli.api.append = () =>
    Promise.reject(new MeshError('EVENT_INVALID', 'cannot append: duplicate key', { details: { item: 1 } }))
  const second = await cli.runWith({ stdin: '{"a":1}\n\n{"a":2}\n' }, 'event', 'append', 'app-note')
  assert.match(second.stderr, /line {6}3\n/)
})

test('log show pages from the newest, prints the newest last, and goes on from its cursor', async (context) => {
  const cli = await createServedCli(context)
  await cli.api.append(
    Array.from({ length: 45 }, (_, index) => ({
      type: index % 2 === 0 ? 'app-even' : 'app-odd',
      json: `{"n":${index + 1}}`
    }))
  )
  const page = await cli.run('log', 'show', '--limit', '3')
  assert.equal(
    page.stdout,
    `2026-11-20 08:00:43Z  laptop  0/43  app-even  {"n":43}
2026-11-20 08:00:44Z  laptop  0/44  app-odd  {"n":44}
2026-11-20 08:00:45Z  laptop  0/45  app-even  {"n":45}
`
  )
  assert.equal(page.stderr, 'more: pmesh log show --cursor 3\n')
  const json = JSON.parse(
    (await cli.run('--json', 'log', 'show', '--type', 'app-odd', '--oldest', '--limit', '2')).stdout
  )
  assert.deepEqual(
    json.items.map((event: { seq: number }) => event.seq),
    [2, 4]
  )
  assert.equal(jsonLines((await cli.run('--json', 'log', 'show', '--all')).stdout).length, 45)
})

test('log follow prints JSON lines with cursors and ends by Ctrl-C with 130, or by --count with 0', async (context) => {
  const cli = await createServedCli(context)
  await cli.api.append(Array.from({ length: 3 }, () => ({ type: 'app-note', json: '{}' })))
  const stopped = await cli.runWith(
    { stopWhen: (stdout) => stdout.split('\n').length > 3 },
    '--json',
    'log',
    'follow',
    '--cursor',
    '0'
  )
  assert.equal(stopped.code, 130)
  assert.deepEqual(
    jsonLines(stopped.stdout).map(({ event, cursor }) => [event.seq, cursor]),
    [
      [1, '1'],
      [2, '2'],
      [3, '3']
    ]
  )
  const counted = await cli.run('log', 'follow', '--cursor', '1', '--count', '2')
  assert.deepEqual([counted.code, counted.stdout.split('\n').length], [0, 3])
})
