import assert from 'node:assert/strict'
import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { classOfAddress } from '../../src/base/address-class.ts'
import { isDeniedPeerAddress } from '../../src/network/peer-address-guard.ts'
import { createUrlGuard } from '../../src/web/url-guard.ts'

const refused = { code: 'URL_REFUSED' }

test('SSRF-1 only http and https', () => {
  const guard = createUrlGuard()
  for (const url of [
    'ftp://example.com',
    'file:///etc/passwd',
    'data:,x',
    'ws://example.com',
    'javascript:1',
    'example.com',
    '',
    '//x'
  ]) {
    assert.throws(() => guard.check(url), refused, url)
  }
  assert.equal(guard.check('https://example.com/a?b').href, 'https://example.com/a?b')
  assert.throws(() => guard.check(`https://example.com/${'x'.repeat(9000)}`), refused)
})

test('SSRF-1 denied addresses are denied in every spelling', () => {
  const guard = createUrlGuard()
  const hosts = [
    '127.0.0.1',
    '127.1',
    '127.0.0.1.',
    '2130706433',
    '017700000001',
    '0177.0.0.1',
    '0x7f.0.0.1',
    '0x7f000001',
    '0x7F.1',
    '①②⑦.⓪.⓪.①',
    '%31%32%37.0.0.1',
    '127。0。0。1',
    '0',
    '0.0.0.0',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.169.254',
    '0xa9fea9fe',
    '2852039166',
    '169.254.1.1',
    '100.64.0.1',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    '192.0.2.1',
    '198.51.100.1',
    '203.0.113.1',
    '198.18.0.1',
    '224.0.0.1',
    '239.255.255.250',
    '240.0.0.1',
    '255.255.255.255',
    '192.88.99.1',
    '[::1]',
    '[::]',
    '[0:0:0:0:0:0:0:1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::ffff:10.0.0.1]',
    '[::127.0.0.1]',
    '[::a00:1]',
    '[64:ff9b::127.0.0.1]',
    '[64:ff9b::a9fe:a9fe]',
    '[64:ff9b:1::1]',
    '[2002:7f00:1::]',
    '[2002:a00:1::1]',
    '[2001:0:4136:e378:8000:63bf:3fff:fdd2]',
    '[fe80::5efe:7f00:1]',
    '[2607:f8b0::5efe:a00:1]',
    '[2607:f8b0::200:5efe:a00:1]',
    '[fe80::1]',
    '[fec0::1]',
    '[fc00::1]',
    '[fd00:ec2::254]',
    '[ff02::1]',
    '[2001:db8::1]',
    '[3fff::1]',
    '[5f00::1]',
    '[100::1]',
    'localhost',
    'LOCALHOST',
    'localhost.',
    'a.localhost',
    'a.b.localhost.',
    'ｌocalhost',
    'localhost.localdomain',
    'metadata.google.internal',
    'metadata.google.internal.',
    'instance-data',
    '.',
    '..'
  ]
  for (const host of hosts) assert.throws(() => guard.check(`http://${host}/`), refused, host)
  for (const host of [
    '1.1.1.1',
    '8.8.8.8',
    '[2606:4700:4700::1111]',
    '[64:ff9b::808:808]',
    'example.com',
    'localhost.example.com'
  ]) {
    guard.check(`http://${host}/`)
  }
})

test('SSRF-1 a name with a dot at its end is the same name', () => {
  const guard = createUrlGuard()
  assert.equal(guard.check('https://example.com./x').href, 'https://example.com/x')
})

test('SSRF-1 an IPv4 address has one class however it is embedded', () => {
  const byte = fc.integer({ min: 0, max: 255 })
  fc.assert(
    fc.property(fc.tuple(byte, byte, byte, byte), (parts) => {
      const text = parts.join('.')
      const kind = classOfAddress(text)
      assert.equal(classOfAddress(`::ffff:${text}`), kind)
      assert.equal(classOfAddress(`64:ff9b::${text}`), kind)
      assert.notEqual(classOfAddress(`::${text}`), 'public')
      assert.notEqual(classOfAddress(`2607:f8b0::5efe:${text}`), 'public')
    })
  )
  for (const text of ['', 'x', '1.2.3', '1.2.3.4.5', '1.2.3.4%eth0', '::g'])
    assert.equal(classOfAddress(text), null, text)
  assert.equal(classOfAddress('2606:4700::1%eth0'), 'link-local')
})

test('SSRF-2 a name that has one denied address among others is denied', async () => {
  for (const denied of [
    '127.0.0.1',
    '10.1.2.3',
    '169.254.169.254',
    '::1',
    'fd00::1',
    '::ffff:192.168.0.1',
    'garbage'
  ]) {
    const guard = createUrlGuard({ resolve: async () => ['93.184.216.34', denied, '2606:4700::1111'] })
    await assert.rejects(guard.addresses(guard.check('https://example.com')), refused, denied)
  }
  const guard = createUrlGuard({ resolve: async () => ['93.184.216.34', '2606:4700::1111'] })
  assert.deepEqual(await guard.addresses(guard.check('https://example.com')), ['93.184.216.34', '2606:4700::1111'])
})

test('SSRF-2 a name without addresses, and a resolver that fails, end the request', async () => {
  const empty = createUrlGuard({ resolve: async () => [] })
  await assert.rejects(empty.addresses(new URL('https://example.com')), { code: 'FETCH_FAILED' })
  const broken = createUrlGuard({ resolve: () => Promise.reject(new Error('SERVFAIL')) })
  await assert.rejects(broken.addresses(new URL('https://example.com')), { code: 'FETCH_FAILED' })
})

test('SSRF-3 user names and unexpected ports are denied unless the owner named the place', () => {
  const guard = createUrlGuard({ allowPrivate: ['localhost:11434', '10.0.0.5:9000', 'http://[::1]:7000/v1'] })
  const bad = [
    'http://user@example.com',
    `http://user${':pass'}@example.com`,
    'http://:pass@example.com',
    'http://example.com@127.0.0.1/',
    'http://example.com:22',
    'http://example.com:6379',
    'https://example.com:8081',
    'http://localhost',
    'http://localhost:11435',
    'http://10.0.0.5:9001',
    'http://10.0.0.6:9000',
    'http://user@localhost:11434',
    'http://169.254.169.254:9000'
  ]
  for (const url of bad) assert.throws(() => guard.check(url), refused, url)
  const good = [
    'http://localhost:11434/api',
    'http://10.0.0.5:9000',
    'http://[::1]:7000',
    'https://example.com:8443',
    'http://example.com:8080'
  ]
  for (const url of good) guard.check(url)
  assert.throws(() => createUrlGuard({ allowPrivate: ['not a host'] }), { code: 'CONFIG_INVALID' })
})

test('SSRF-3 what the owner named is private space, never link-local, multicast or a cloud’s own services', async () => {
  const guard = createUrlGuard({
    allowPrivate: ['gpu.lan:8000', '169.254.169.254:80'],
    resolve: async () => ['169.254.169.254']
  })
  await assert.rejects(guard.addresses(guard.check('http://gpu.lan:8000')), refused)
  assert.throws(() => guard.check('http://169.254.169.254'), refused)
})

test('SSRF-4 addresses that peers advertise lead to members, not to this machine or a cloud’s services', () => {
  const denied = [
    '/ip4/127.0.0.1/tcp/4701',
    '/ip4/0.0.0.0/tcp/1',
    '/ip4/169.254.169.254/tcp/80',
    '/ip4/224.0.0.1/tcp/1',
    '/ip6/::1/tcp/1',
    '/ip6/fe80::1/tcp/1',
    '/ip6/::ffff:127.0.0.1/tcp/1',
    '/dns4/localhost/tcp/1',
    '/dns/a.localhost/tcp/1',
    'http://10.0.0.1',
    ''
  ]
  for (const text of denied) assert.equal(isDeniedPeerAddress(text), true, text)
  for (const text of [
    '/ip4/192.168.1.7/tcp/4701',
    '/ip4/100.64.0.9/tcp/1',
    '/ip6/fd00::1/tcp/1',
    '/ip4/1.1.1.1/tcp/1',
    '/dns4/box.lan/tcp/1'
  ]) {
    assert.equal(isDeniedPeerAddress(text), false, text)
  }
})

test('SSRF-4 a mesh on one machine may allow loopback, and nothing else with it', () => {
  for (const text of ['/ip4/127.0.0.1/tcp/1', '/ip6/::1/tcp/1', '/dns4/localhost/tcp/1']) {
    assert.equal(isDeniedPeerAddress(text, true), false, text)
  }
  assert.equal(isDeniedPeerAddress('/ip4/169.254.169.254/tcp/80', true), true)
})

test('SSRF-4 no other part of the program makes requests of its own', async () => {
  const root = join(import.meta.dirname, '../..')
  const modules =
    /from '(?:node:)?(?:https?|http2|undici)'|(?<!typeof )globalThis\.fetch|new (?:WebSocket|EventSource)\(/
  const call = /(?:await|return|[=(,])\s*fetch\(/
  for await (const file of glob('src/**/*.ts', { cwd: root })) {
    if (file.startsWith('src/web/')) continue
    const code = (await readFile(join(root, file), 'utf8')).replaceAll(/^\s*(?:\/\/|\*|\/\*).*$/gm, '')
    assert.ok(!modules.test(code), file)
    // One that is handed in, under that name, is the guarded one.
    assert.ok(!call.test(code) || /\bfetch: /.test(code), file)
  }
})
