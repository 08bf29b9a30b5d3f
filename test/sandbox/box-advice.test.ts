import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { installAdvice, namespaceAdvice } from '../../src/sandbox/box-advice.ts'

async function systemOf(context: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'pmesh-system-'))
  context.after(() => rm(root, { recursive: true, force: true }))
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
  return root
}

test('SANDBOX-6 a missing program is installed in the way of the system', async (context) => {
  for (const [release, advice] of [
    ['NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n', 'apt-get install bubblewrap'],
    ['ID=raspbian\nID_LIKE=debian\n', 'apt-get install bubblewrap'],
    ['ID="rocky"\nID_LIKE="rhel centos fedora"\n', 'dnf install bubblewrap'],
    ['ID=arch\n', 'pacman -S bubblewrap'],
    ['ID=alpine\n', 'apk add bubblewrap']
  ] as const)
    assert.equal(installAdvice('bubblewrap', { root: await systemOf(context, { 'etc/os-release': release }) }), advice)
  const unknown = installAdvice('bubblewrap', { root: await systemOf(context, { 'etc/os-release': 'ID=searching\n' }) })
  assert.match(unknown, /^install bubblewrap: apt-get install, dnf install, pacman -S/)
})

test('SANDBOX-6 the advice for a system that forbids the box names what forbids it', async (context) => {
  const apparmor = 'proc/sys/kernel/apparmor_restrict_unprivileged_userns'
  for (const [files, advice] of [
    [{ '.dockerenv': '', [apparmor]: '1\n' }, /--security-opt seccomp/],
    [{ 'run/.containerenv': '' }, /--security-opt seccomp/],
    [{ [apparmor]: '1\n' }, /AppArmor[\s\S]*profile[\s\S]*sysctl/],
    [{ [apparmor]: '0\n', 'proc/sys/kernel/unprivileged_userns_clone': '0\n' }, /unprivileged_userns_clone=1/],
    [{ 'proc/sys/user/max_user_namespaces': '0\n' }, /max_user_namespaces=15000/],
    [{}, /docs\/operating\.md/]
  ] as const)
    assert.match(namespaceAdvice({ root: await systemOf(context, files) }), advice)
})
