// Cases of the A list about files: what can be read, written, filled and planted.

import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import { type CommandCase, hides } from './command-case.ts'
import { type CommandKit, MIB, SECRET } from './command-kit.ts'

export const readCases: readonly CommandCase[] = [
  {
    id: 'A1',
    what: 'ls, echo and cat work',
    async run(kit) {
      const { status, text } = await kit.bash('echo hello > a.txt && ls && cat a.txt')
      assert.deepEqual([status, text], ['ok', 'stdout (12 bytes):\na.txt\nhello\n\n'])
    }
  },
  hides('A2', 'an absolute path outside', (_kit, secret) => `cat ${secret}; cp ${secret} here; cat here`),
  hides(
    'A3',
    'a path with ..',
    (_kit, secret) => `cat ../../../../../../..${secret} ../../../..${secret} ../..${secret}`
  ),
  {
    id: 'A4',
    what: 'a link that already lies in the workspace',
    async run(kit) {
      const secret = kit.secretFile('A4.txt')
      symlinkSync(secret, join(kit.workspace, 'link'))
      symlinkSync(kit.outside, join(kit.workspace, 'folder'))
      const { text } = await kit.bash('cat link folder/A4.txt; ls folder/; echo the end')
      assert.match(text, /the end/)
      assert.ok(!text.includes(SECRET), text)
    }
  },
  hides(
    'A5',
    'a link made in the box',
    (kit, secret) => `ln -s ${secret} l; cat l; ln -s ${kit.outside} d; cat d/A5.txt`
  ),
  {
    id: 'A6',
    what: 'writing through a link',
    async run(kit) {
      const secret = kit.secretFile('A6.txt')
      await kit.bash(`ln -s ${secret} l; echo gone > l; ln -s ${kit.outside} d; echo gone > d/new; rm -f d/A6.txt`)
      assert.equal(readFileSync(secret, 'utf8'), `${SECRET}\n`)
      assert.ok(!existsSync(join(kit.outside, 'new')))
    }
  },
  {
    id: 'A7',
    what: 'a hard link to a file outside, made in the box',
    async run(kit) {
      const secret = kit.secretFile('A7.txt')
      const { text } = await kit.bash(`ln ${secret} hard; cat hard; ln /usr/bin/bash shell`)
      assert.ok(!text.includes(SECRET), text)
      assert.deepEqual(readdirSync(kit.workspace), [])
    }
  },
  hides(
    'A8',
    '/proc/self/root and thread-self/root',
    (_kit, secret) => `cat /proc/self/root${secret} /proc/thread-self/root${secret} /proc/self/cwd/../..${secret}`
  ),
  hides(
    'A9',
    'root and cwd of other processes',
    (_kit, secret) => `for p in /proc/[0-9]*; do cat $p/root${secret} $p/cwd/../../..${secret}; ls $p/root/root; done`
  ),
  hides('A10', 'descriptors of other processes', () => 'for p in /proc/[0-9]*; do cat $p/fd/[3-9]* </dev/null; done'),
  {
    id: 'A11',
    what: 'writing to /etc, /usr, the home and outside',
    async run(kit) {
      const targets = [
        '/etc/planted',
        '/usr/planted',
        '/usr/bin/planted',
        `${kit.home}/planted`,
        `${kit.outside}/planted`,
        '/planted',
        '/dev/planted'
      ]
      const { text } = await kit.bash(
        targets.map((path) => `{ echo x > ${path}; } 2>/dev/null && echo wrote ${path}`).join('\n')
      )
      assert.doesNotMatch(text, /wrote/)
      for (const path of targets) assert.ok(!existsSync(path), path)
    }
  },
  {
    id: 'A12',
    what: 'files of accounts',
    async run(kit) {
      const { text } = await kit.bash(
        'cat /etc/shadow /etc/gshadow ~/.npmrc ~/.bashrc /root*/.bashrc /home/*/.bashrc; ls /root* /home /var /run; true'
      )
      assert.match(text, /^stdout \(0 bytes\):/, text)
    }
  },
  {
    id: 'A13',
    what: 'the environment',
    async run(kit) {
      const { text } = await kit.bash('env; printenv; tr "\\0" "\\n" < /proc/self/environ')
      assert.match(text, /^PATH=\/usr\/bin:\/bin$/m)
      assert.ok(!text.includes(SECRET), text)
      for (const name of ['CANARY', 'HOME=/root', 'NODE_', 'npm_']) assert.ok(!text.includes(name), name)
    }
  },
  hides('A14', 'environments of host processes', () => 'for p in /proc/[0-9]*; do tr "\\0" "\\n" < $p/environ; done'),
  {
    id: 'A15',
    what: 'host processes and their arguments',
    async run(kit) {
      const { text } = await kit.bash(
        'for p in /proc/[0-9]*; do tr "\\0" " " < $p/cmdline; echo; done; ls -d /proc/[0-9]* | wc -l'
      )
      assert.doesNotMatch(text, /node|--test/)
      assert.ok(Number(text.trim().split('\n').at(-1)) <= 4, text)
    }
  },
  {
    id: 'A16',
    what: 'killing a host process',
    async run(kit) {
      const { text } = await kit.bash(
        `kill -9 ${process.pid}; kill -9 ${process.ppid}; kill -0 ${process.pid} && echo reached`
      )
      assert.doesNotMatch(text, /reached/)
    }
  }
]

/** Bytes of all files right in the workspace. */
function workspaceBytes(kit: CommandKit): number {
  return readdirSync(kit.workspace).reduce((sum, name) => sum + lstatSync(join(kit.workspace, name)).blocks * 512, 0)
}

export const diskCases: readonly CommandCase[] = [
  {
    id: 'A33',
    what: 'a file of 300 MiB',
    async run(kit) {
      const { status } = await kit.bash('head -c 314572800 /dev/zero > big')
      assert.notEqual(status, 'ok')
      assert.ok(lstatSync(join(kit.workspace, 'big')).size <= 64 * MIB)
    }
  },
  {
    id: 'A34',
    what: 'many files that outgrow the workspace together',
    async run(kit) {
      const { status, code } = await kit.bash(
        'for n in $(seq 12); do head -c 40000000 /dev/zero > f$n; sleep 0.1; done'
      )
      assert.deepEqual([status, code], ['killed', 'FILE_TOO_LARGE'])
      assert.ok(workspaceBytes(kit) < 400 * MIB)
    }
  },
  {
    id: 'A34',
    what: 'files without a name that outgrow the workspace',
    async run(kit) {
      const { status } = await kit.python(`import os, time
for n in range(12):
  fd = os.open('u', os.O_CREAT | os.O_RDWR); os.unlink('u')
  for _ in range(40): os.write(fd, bytes(1 << 20))
  time.sleep(0.1)
time.sleep(8)`)
      assert.ok(status === 'killed' || status === 'memory', status)
    }
  },
  {
    id: 'A34',
    what: 'more files than are tracked',
    async run(kit) {
      const { status, code } = await kit.python(
        "import time\nfor n in range(21000): open(str(n), 'w').close()\ntime.sleep(25)",
        { limits: { timeMs: 30_000 } }
      )
      assert.deepEqual([status, code], ['killed', 'FILE_TOO_LARGE'])
      const next = await kit.bash('echo ran')
      assert.deepEqual([next.status, next.text], ['refused', ''])
    }
  },
  {
    id: 'A35',
    what: 'filling /tmp',
    async run(kit, marker) {
      const { text } = await kit.bash(
        `for n in 1 2 3; do head -c 40000000 /dev/zero > /tmp/${marker}$n || echo full; done`
      )
      assert.match(text, /full/)
      assert.ok(!existsSync(`/tmp/${marker}1`))
    }
  }
]

export const plantCases: readonly CommandCase[] = [
  {
    id: 'A46',
    what: 'hooks and configuration of git, also by moving the folder aside',
    async run(kit) {
      const own = join(kit.workspace, 'repo', '.git')
      mkdirSync(join(own, 'hooks'), { recursive: true })
      writeFileSync(join(own, 'config'), '[core]\n')
      for (const path of [join(kit.workspace, 'repo'), own, join(own, 'hooks'), join(own, 'config')])
        chmodSync(path, 0o777)
      const { text } = await kit.bash(`
        echo evil > repo/.git/hooks/pre-commit; echo evil >> repo/.git/config; rm -rf repo/.git/hooks
        mv repo/.git repo/aside && echo moved; mv repo/.git/config repo/.git/old && echo moved
        mkdir -p new/.git/hooks && echo evil > new/.git/hooks/post-checkout; echo evil > new/.git/config
        mkdir -p new/.GIT/modules/x && echo evil > new/.GIT/modules/x/config
        mkdir s; echo "gitdir: /workspace/s" > s/.git; mv repo repo2; mkdir -p repo/.git; echo evil > repo/.git/config`)
      assert.doesNotMatch(text, /moved/)
      assert.deepEqual(readdirSync(join(kit.workspace, 'repo2', '.git', 'hooks')), [])
      assert.equal(readFileSync(join(kit.workspace, 'repo2', '.git', 'config'), 'utf8'), '[core]\n')
      for (const path of [
        'new/.git/hooks',
        'new/.git/config',
        'new/.GIT/modules/x/config',
        's/.git',
        'repo/.git/config'
      ]) {
        assert.ok(!existsSync(join(kit.workspace, path)), path)
      }
    }
  },
  {
    id: 'A47',
    what: 'files that shells, editors and agents obey',
    async run(kit) {
      const kept = join(kit.workspace, '.npmrc')
      writeFileSync(kept, 'mine\n')
      chmodSync(kept, 0o666)
      const outcome = await kit.bash(`
        echo evil > .bashrc; echo evil > .mcp.json; mkdir .vscode; echo evil > .vscode/tasks.json; echo evil > .NPMRC
        echo evil > .npmrc; mv .npmrc other; rm -f .npmrc; ln -s /etc/passwd .profile; mkdir -p deep/er; echo evil > deep/er/.envrc
        echo fine > plain; d=deep; for n in $(seq 70); do d=$d/x; done; mkdir -p $d`)
      assert.equal(readFileSync(kept, 'utf8'), 'mine\n')
      assert.deepEqual(readdirSync(kit.workspace).sort(), ['.npmrc', 'deep', 'plain'])
      assert.deepEqual(readdirSync(join(kit.workspace, 'deep', 'er')), [])
      assert.match(outcome.message, /removed what it planted: .*\.bashrc/)
    }
  },
  {
    id: 'A47',
    what: 'a protected name that is a link to the outside is not mounted',
    async run(kit) {
      kit.secretFile('config')
      symlinkSync(kit.outside, join(kit.workspace, '.vscode'))
      symlinkSync(kit.outside, join(kit.workspace, '.git'))
      const { text } = await kit.bash('cat .vscode/config .git/config; ls .vscode/; echo the end')
      assert.match(text, /the end/)
      assert.ok(!text.includes(SECRET), text)
    }
  },
  {
    id: 'A48',
    what: 'no file on the host that runs as root',
    async run(kit) {
      await kit.bash('cp /usr/bin/id mine; chmod 6755 mine; chown 0:0 mine; echo x > y; ln mine z')
      for (const name of readdirSync(kit.workspace)) assert.notEqual(lstatSync(join(kit.workspace, name)).uid, 0)
    }
  },
  {
    id: 'A49',
    what: 'nothing lies in the workspace that nobody wrote',
    async run(kit) {
      linkSync(kit.secretFile('A49.txt'), join(kit.workspace, 'given'))
      await kit.bash('true')
      assert.deepEqual(readdirSync(kit.workspace), ['given'])
    }
  }
]
