// The command sandbox around the list: what it says of itself, what is left when a node dies, what an allowlist could not hold.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, closeSync, existsSync, openSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Workspaces } from '../../src/sandbox/workspaces.ts'
import {
  BOX_LIMITS,
  type CommandKit,
  holdsWithin,
  openKit,
  openSandboxOn,
  processesWith,
  SECRET,
  skip
} from './command-kit.ts'
import { TRICKS } from './command-tricks.ts'

let kit: CommandKit
before(async () => {
  if (skip === false) kit = await openKit()
})
after(() => kit?.[Symbol.asyncDispose]())

const idle = () => new AbortController().signal

test('SANDBOX-6 the report says in one line what isolates here', { skip }, () => {
  const { available, text } = kit.sandbox.report
  assert.equal(available, true)
  assert.match(
    text,
    /^bubblewrap \d+\.\d+\.\d+ \+ seccomp, network off, memory by (cgroup v[12]|watching .*), as user [1-9]\d*$/
  )
  assert.match(kit.sandbox.profile, /^[0-9a-f]{64}$/)
})

test('SANDBOX-6 the same box has the same profile, another one another', { skip }, async () => {
  const same = await openSandboxOn(kit.home)
  const other = await openSandboxOn(kit.home, { controlGroups: false })
  assert.equal(same.sandbox.profile, kit.sandbox.profile)
  assert.notEqual(other.sandbox.profile, '')
  await Promise.all([same.sandbox.close(), other.sandbox.close()])
})

/** Programs in the place of bubblewrap, on systems that do not let it work. */
const LAME: Record<string, string> = {
  'user namespaces are denied': 'echo "bwrap: No permissions to create new namespace" >&2; exit 1',
  'it runs the program without a box': 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"',
  'it does nothing': 'exit 0'
}

for (const [what, script] of Object.entries(LAME)) {
  test(`SANDBOX-6 commands do not run where bubblewrap is lame: ${what}`, { skip }, async () => {
    const lame = join(kit.home, `bwrap-${randomUUID()}`)
    writeFileSync(lame, `#!/bin/bash\n[ "$1" = --version ] && echo "bubblewrap 0.8.0" && exit\n${script}\n`)
    chmodSync(lame, 0o755)
    await using without = await openKit({ bubblewrap: lame })
    assert.equal(without.sandbox.report.available, false)
    assert.match(without.sandbox.report.text, /^no OS sandbox, commands do not run: /)
    const { status, code, message } = await without.bash('echo ran > /tmp/ran; echo ran > ran')
    assert.deepEqual([status, code], ['refused', 'SANDBOX_UNAVAILABLE'])
    assert.equal(message, without.sandbox.report.text)
    assert.deepEqual(readdirSync(without.workspace), [])
    const server = { program: 'cat', args: [], workspace: without.workspace, limits: BOX_LIMITS, signal: idle() }
    await assert.rejects(without.sandbox.start(server), { code: 'SANDBOX_UNAVAILABLE' })
  })
}

test('SANDBOX-6 without bubblewrap the report names what is missing', { skip }, async () => {
  await using without = await openKit({ bubblewrap: '/nowhere/bwrap' })
  assert.match(without.sandbox.report.text, /bubblewrap is missing .*\/nowhere\/bwrap/)
})

test('SANDBOX-6 root is never whom commands run as', { skip: process.geteuid?.() !== 0 && 'not root' }, () => {
  const paths = { home: kit.home, workspaces: join(kit.home, 'w') }
  assert.throws(() => Workspaces.open({ paths, user: { uid: 0, gid: 0 }, rootFolder: join(kit.home, 'm') }), {
    code: 'SANDBOX_UNAVAILABLE'
  })
})

function nodeProcess(home: string, script: string, extra: ('ignore' | number)[] = []) {
  const program = join(import.meta.dirname, 'command-node-process.ts')
  return spawn(process.execPath, ['--no-warnings', program, home, script], {
    stdio: ['ignore', 'pipe', 'inherit', ...extra],
    env: { PATH: process.env.PATH, CANARY: SECRET }
  })
}

test('SANDBOX-2 E3 E6 nothing of a box survives a node that is killed', { skip }, async () => {
  await using own = await openKit()
  const marker = `marker-${randomUUID()}`
  const script = `: ${marker}; trap "" TERM; setsid -f bash -c ": ${marker}; sleep 60"; echo up > up; sleep 60`
  const node = nodeProcess(own.home, script)
  assert.ok(await holdsWithin(15_000, () => existsSync(join(own.workspace, 'up'))))
  assert.ok(processesWith(marker).length >= 3)
  node.kill('SIGKILL')
  await once(node, 'exit')
  assert.ok(await holdsWithin(5_000, () => processesWith(marker).length === 0), String(processesWith(marker)))
})

test('SANDBOX-1 A45 descriptors that the node inherited are closed in the box', { skip }, async () => {
  await using own = await openKit()
  const inherited = openSync(own.secretFile('inherited.txt'), 'r')
  // Node itself closes what stands right behind its own descriptors; a gap hides the others from it.
  const far: ('ignore' | number)[] = [...new Array(37).fill('ignore'), inherited]
  const script = `cat <&40; exec python3 -c '
import os
for number in range(1000):
  try: os.fstat(number); print("descriptor", number)
  except OSError: pass'`
  const node = nodeProcess(own.home, script, far)
  closeSync(inherited)
  const [output] = await Promise.all([text(node.stdout as NodeJS.ReadableStream), once(node, 'exit')])
  assert.deepEqual(output.match(/^descriptor \d+$/gm), ['descriptor 0', 'descriptor 1', 'descriptor 2'], output)
  assert.ok(!output.includes(SECRET), output)
})

async function text(stream: NodeJS.ReadableStream): Promise<string> {
  let all = ''
  for await (const piece of stream) all += piece
  return all
}

function unboxed(program: string, args: readonly string[], folder: string): Promise<string> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 5_000, cwd: folder }, (_error, stdout, stderr) => resolve(`${stdout}${stderr}`))
  })
}

test('CMD-5 with no check in front the box holds: arguments of programs that an allowlist would let pass', {
  skip
}, async () => {
  const secret = kit.secretFile('tricks.txt')
  const leaks = (answer: string) => answer.includes(SECRET) || answer.includes(Buffer.from(SECRET).toString('hex'))
  let leakedOutside = 0
  for (const [program, ...trick] of TRICKS) {
    const args = trick.map((argument) => argument.replaceAll('SECRET_FILE', secret))
    if (leaks(await unboxed(program, args, kit.outside))) leakedOutside += 1
    const { status, stdout, stderr } = await kit.sandbox.run({
      program,
      args,
      workspace: kit.workspace,
      limits: BOX_LIMITS,
      signal: idle()
    })
    assert.notEqual(status, 'refused')
    assert.ok(!leaks(`${stdout}${stderr}`), `${program} ${args.join(' ')}`)
  }
  assert.ok(leakedOutside >= 20, `only ${leakedOutside} tricks work on this machine even without a box`)
})

test('SANDBOX-1 homes, sockets, keys and folders of other runs are not there', { skip }, async () => {
  const other = await kit.workspaces.prepare('run-2')
  writeFileSync(join(other, 'theirs'), SECRET)
  for (const name of ['secret.key', 'pmesh.sock']) kit.secretFile(name)
  const { text: seen } = await kit.bash(
    `cat ${other}/theirs ${kit.outside}/*; ls -a .. ../.. ${kit.home} ${kit.workspaces.folder}; true`
  )
  assert.ok(!seen.includes(SECRET) && !seen.includes('run-2\n'), seen)
})

test('SANDBOX-1 a workspace is one box’s at a time', { skip }, async () => {
  const server = await kit.sandbox.start({
    program: 'cat',
    args: [],
    workspace: kit.workspace,
    limits: BOX_LIMITS,
    signal: idle()
  })
  const { status, code } = await kit.bash('echo ran')
  assert.deepEqual([status, code], ['refused', 'SANDBOX_FAILED'])
  await server.kill()
  assert.equal((await kit.bash('true')).status, 'ok')
})

test('SANDBOX-2 a boxed server answers, and ends with all it started', { skip }, async () => {
  const marker = `marker-${randomUUID()}`
  const workspace = await kit.workspaces.prepare('server')
  const args = [
    '-c',
    `: ${marker}; setsid -f sleep 60; trap "" TERM; echo evil > .bashrc; while read -r line; do echo "got $line"; done; sleep 60`
  ]
  const server = await kit.sandbox.start({ program: 'bash', args, workspace, limits: BOX_LIMITS, signal: idle() })
  server.stdin.write('one\n')
  const [answer] = await once(server.stdout, 'data')
  assert.equal(String(answer), 'got one\n')
  await server.kill()
  assert.deepEqual(processesWith(marker), [])
  assert.deepEqual(readdirSync(workspace), [])
  assert.equal((await server.exited).reason, 'killed')
})

test('SANDBOX-2 closing the sandbox ends what runs', { skip }, async () => {
  const { sandbox, workspaces } = await openSandboxOn(kit.home)
  const workspace = await workspaces.prepare('closing')
  const server = await sandbox.start({ program: 'sleep', args: ['60'], workspace, limits: BOX_LIMITS, signal: idle() })
  await sandbox.close()
  await server.exited
  await assert.rejects(sandbox.start({ program: 'true', args: [], workspace, limits: BOX_LIMITS, signal: idle() }))
})

test('SANDBOX-2 a cancelled call ends with everything that it started', { skip }, async () => {
  const marker = `marker-${randomUUID()}`
  const cancel = new AbortController()
  // Without a command behind it bash becomes sleep, and the marker is gone.
  const script = `: ${marker}; setsid -f bash -c ": ${marker}; sleep 60; :"; sleep 60; :`
  const called = kit.bash(script, { signal: cancel.signal })
  assert.ok(await holdsWithin(5_000, () => processesWith(marker).length >= 3))
  cancel.abort()
  const { status, code } = await called
  assert.deepEqual([status, code], ['killed', 'CANCELLED'])
  assert.deepEqual(processesWith(marker), [])
  const before = readdirSync(kit.workspace)
  const never = await kit.bash('echo ran > ran', { signal: AbortSignal.abort() })
  assert.deepEqual([never.status, never.code, readdirSync(kit.workspace)], ['refused', 'CANCELLED', before])
})

test('SANDBOX-3 both streams count together, and what was said before the end is kept', { skip }, async () => {
  const limits = { outputBytes: 4096 }
  const fits = await kit.bash('printf "%01500d" 0; printf "%01500d" 0 >&2', { limits })
  assert.equal(fits.status, 'ok')
  const tooMuch = await kit.bash('printf "%03000d" 0; printf "%03000d" 0 >&2; sleep 5', { limits })
  assert.deepEqual([tooMuch.status, tooMuch.truncated], ['output', true])
  assert.ok(tooMuch.output.length <= 4096 && tooMuch.output.length > 3000)
})

test('the streams are labelled with their lengths, and bytes that are no text stay as they are', { skip }, async () => {
  const { output, status, exitCode } = await kit.bash(
    'printf "a\\xff\\x00b"; printf "stderr (9 bytes):\\n" >&2; exit 7'
  )
  assert.deepEqual([status, exitCode], ['error', 7])
  const expected = Buffer.from('stdout (4 bytes):\na\xff\x00b\nstderr (18 bytes):\nstderr (9 bytes):\n\n', 'latin1')
  assert.deepEqual(Buffer.from(output), expected)
})

test('a program killed by a signal, and one that is not there, are told as such', { skip }, async () => {
  const crashed = await kit.bash('kill -SEGV $$')
  assert.deepEqual([crashed.status, crashed.exitCode, crashed.signal], ['error', 139, 'SIGSEGV'])
  const missing = await kit.call({ program: 'no-such-program' })
  assert.deepEqual([missing.status, missing.exitCode], ['error', 127])
})

test('CMD-1 arguments arrive as they were given, and nothing is expanded', { skip }, async () => {
  const args = ['%s|', '$HOME', '`id`', '*', '; id', '-n', '', '"', "'", 'a\nb', '$(id)', '‮ä']
  const { output } = await kit.call({ program: 'printf', args })
  const said = `${args.slice(1).join('|')}|`
  assert.equal(Buffer.from(output).toString('utf8'), `stdout (${Buffer.byteLength(said)} bytes):\n${said}\n`)
})

test('CMD-1 a program is a plain name, arguments hold no NUL, the folder is inside', { skip }, async () => {
  for (const program of ['', '/bin/sh', '../x', './x', '-c', 'a b', 'a\0b', 'exec;id']) {
    assert.equal((await kit.call({ program })).status, 'refused', program)
  }
  assert.equal((await kit.call({ program: 'echo', args: ['a\0b'] })).status, 'refused')
  for (const cwd of ['..', '/', '/etc', 'a/../../b', 'a\0']) {
    assert.equal((await kit.call({ program: 'ls', cwd })).status, 'refused', cwd)
  }
  symlinkSync(kit.outside, join(kit.workspace, 'away'))
  const { stdout } = await kit.sandbox.run({
    program: 'ls',
    args: ['-a'],
    workspace: kit.workspace,
    folder: 'away',
    limits: BOX_LIMITS,
    signal: idle()
  })
  assert.equal(stdout.length, 0)
})

test('input arrives whole, and a program that does not read it still ends', { skip }, async () => {
  const stdin = 'x'.repeat(256 * 1024)
  assert.match((await kit.call({ program: 'wc', args: ['-c'], stdin })).text, /262144/)
  assert.equal((await kit.call({ program: 'true', stdin })).status, 'ok')
})
