// Cases of the A list about the network, processes and the kernel.

import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { chmodSync, existsSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { type CommandCase, contains } from './command-case.ts'
import { type CommandKit, MIB, processesWith } from './command-kit.ts'

async function counted(server: Server, work: () => Promise<void>): Promise<number> {
  let connections = 0
  server.on('connection', (socket) => {
    connections += 1
    socket.destroy()
  })
  try {
    await work()
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
  return connections
}

export const networkCases: readonly CommandCase[] = [
  {
    id: 'A17',
    what: 'TCP to a server on the host',
    async run(kit) {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as { port: number }
      const reached = await counted(server, async () => {
        const { text } = await kit.bash(`exec 3<>/dev/tcp/127.0.0.1/${port} && echo reached`)
        assert.doesNotMatch(text, /reached/)
      })
      assert.equal(reached, 0)
    }
  },
  {
    id: 'A18',
    what: 'UDP to the host',
    async run(kit) {
      const socket = createSocket('udp4')
      let messages = 0
      socket.on('message', () => {
        messages += 1
      })
      socket.bind(0, '127.0.0.1')
      await once(socket, 'listening')
      await kit.bash(`for n in 1 2 3; do echo hi > /dev/udp/127.0.0.1/${socket.address().port}; done`)
      await kit.bash('true')
      socket.close()
      assert.equal(messages, 0)
    }
  },
  contains(
    'A19',
    'the outside, and interfaces',
    `import socket
names = [name for _, name in socket.if_nameindex()]
s = socket.socket(); s.settimeout(2)
try:
  s.connect(('1.1.1.1', 80)); print('reached')
except OSError: print('contained' if names == ['lo'] else names)`
  ),
  contains(
    'A20',
    'DNS and UDP port 53',
    `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
  s.sendto(b'x', ('8.8.8.8', 53)); print('sent')
except OSError:
  try: socket.getaddrinfo('example.com', 80); print('resolved')
  except OSError: print('contained')`
  ),
  {
    id: 'A21',
    what: 'a host unix socket in the workspace, also by a datagram pair',
    async run(kit) {
      const path = join(kit.workspace, 's')
      const server = createServer().listen(path)
      await once(server, 'listening')
      chmodSync(path, 0o777)
      const reached = await counted(server, async () => {
        const { text } = await kit.python(`import socket
try: socket.socket(socket.AF_UNIX).connect('/workspace/s'); print('reached')
except OSError as e: print(e)
try: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); print('reached')
except OSError as e: print(e)
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
try: a.connect('/workspace/s'); print('reached')
except OSError as e: print('contained')`)
        assert.match(text, /contained/)
        assert.doesNotMatch(text, /reached/)
      })
      assert.equal(reached, 0)
    }
  },
  {
    id: 'A22',
    what: 'a host abstract socket',
    async run(kit, marker) {
      const server = createServer().listen(`\0${marker}`)
      await once(server, 'listening')
      const reached = await counted(server, async () => {
        await kit.python(`import socket\nsocket.socket(socket.AF_UNIX).connect('\\0${marker}')`)
      })
      assert.equal(reached, 0)
    }
  }
]

export const processCases: readonly CommandCase[] = [
  {
    id: 'A23',
    what: 'a fork bomb is dead after its time',
    async run(kit, marker) {
      const { status } = await kit.bash(`: ${marker}; bomb() { bomb | bomb & }; bomb; while :; do sleep 0.1; done`, {
        limits: { timeMs: 1_000 }
      })
      assert.equal(status, 'timeout')
      assert.deepEqual(processesWith(marker), [])
    }
  },
  {
    id: 'A24',
    what: '300 processes',
    async run(kit) {
      const { text } = await kit.python(`import os, time
made = 0
for _ in range(300):
  try: pid = os.fork()
  except OSError: break
  if pid == 0: time.sleep(5); os._exit(0)
  made += 1
print('made', made)`)
      const made = Number(/made (\d+)/.exec(text)?.[1])
      assert.ok(made > 5 && made < 64, text)
    }
  },
  {
    id: 'A25',
    what: 'one process with 5 GiB',
    async run(kit) {
      const { status } = await kit.python('import time\nx = bytearray(5 << 30)\nprint("had it")\ntime.sleep(5)')
      assert.ok(status === 'memory' || status === 'error', status)
    }
  },
  {
    id: 'A26',
    what: '8 processes with 250 MiB each',
    async run(kit, marker) {
      const { status } = await kit.python(`# ${marker}
import os, time
for _ in range(8):
  if os.fork() == 0:
    x = bytearray(250 << 20); time.sleep(8); os._exit(0)
time.sleep(9)`)
      assert.equal(status, 'memory')
      assert.deepEqual(processesWith(marker), [])
    }
  },
  {
    id: 'A26',
    what: 'memory that no process maps: files without a name',
    async run(kit) {
      const { status } = await kit.python(`import os, time
held = []
for n in range(20):
  fd = os.memfd_create('x'); held.append(fd)
  for _ in range(60): os.write(fd, bytes(1 << 20))
time.sleep(8)`)
      assert.equal(status, 'memory')
    }
  },
  ...['stdout', 'stderr'].map((stream, index) => ({
    id: `A${27 + index}`,
    what: `endless ${stream}`,
    async run(kit: CommandKit, marker: string) {
      const outcome = await kit.bash(`: ${marker}; yes ${'x'.repeat(1000)} >&${index + 1}`)
      assert.deepEqual([outcome.status, outcome.truncated], ['output', true])
      assert.ok(outcome.output.length <= MIB && outcome.output.length > MIB / 2)
      assert.ok(outcome.wallMs < 5_000)
      assert.deepEqual(processesWith(marker), [])
    }
  })),
  {
    id: 'A29',
    what: 'signals ignored',
    async run(kit, marker) {
      const { status, wallMs } = await kit.bash(`: ${marker}; trap "" TERM INT HUP; while :; do sleep 0.1; done`, {
        limits: { timeMs: 300 }
      })
      assert.equal(status, 'timeout')
      assert.ok(wallMs < 3_000)
      assert.deepEqual(processesWith(marker), [])
    }
  },
  {
    id: 'A30',
    what: 'a child in a session of its own, signals ignored',
    async run(kit, marker) {
      await kit.bash(
        `trap "" TERM; setsid bash -c ": ${marker}; sleep 60" & setsid -f bash -c ": ${marker}; sleep 60"; sleep 60`,
        {
          limits: { timeMs: 300 }
        }
      )
      assert.deepEqual(processesWith(marker), [])
    }
  },
  {
    id: 'A31',
    what: 'a daemon left behind',
    async run(kit, marker) {
      const { status } = await kit.python(`# ${marker}
import os, time
if os.fork() == 0:
  os.setsid()
  if os.fork() == 0:
    for fd in range(3): os.close(fd)
    time.sleep(60)
  os._exit(0)
time.sleep(0.1)`)
      assert.equal(status, 'ok')
      assert.deepEqual(processesWith(marker), [])
    }
  },
  {
    id: 'A32',
    what: 'a background child that holds the pipes',
    async run(kit, marker) {
      const { status, wallMs, text } = await kit.bash(`bash -c ": ${marker}; sleep 60" & echo said`)
      assert.equal(status, 'ok')
      assert.match(text, /said/)
      assert.ok(wallMs < 3_000, `${wallMs} ms`)
      assert.deepEqual(processesWith(marker), [])
    }
  }
]

export const kernelCases: readonly CommandCase[] = [
  {
    id: 'A36',
    what: 'devices',
    async run(kit) {
      const { text } = await kit.bash(
        'ls /dev/vda /dev/sda /dev/kvm /dev/mem /dev/kmsg /dev/fuse /dev/port 2>/dev/null; mknod x b 8 0 && echo made'
      )
      assert.match(text, /^stdout \(0 bytes\):/, text)
    }
  },
  {
    id: 'A37',
    what: 'settings of the kernel',
    async run(kit) {
      const settings = ['kernel/core_pattern', 'vm/swappiness', 'kernel/hostname', 'user/max_user_namespaces']
      const before = settings.map((name) => readFileSync(`/proc/sys/${name}`, 'utf8'))
      const { text } = await kit.bash(settings.map((name) => `echo 1 > /proc/sys/${name} && echo wrote`).join('\n'))
      assert.doesNotMatch(text, /wrote/)
      assert.deepEqual(
        settings.map((name) => readFileSync(`/proc/sys/${name}`, 'utf8')),
        before
      )
    }
  },
  {
    id: 'A38',
    what: 'a control group of its own',
    async run(kit) {
      const { text } = await kit.bash('mkdir /sys/fs/cgroup/x /sys/fs/cgroup/memory/x && echo made')
      assert.doesNotMatch(text, /made/)
    }
  },
  {
    id: 'A39',
    what: 'namespaces',
    async run(kit) {
      const { text } = await kit.bash(
        'unshare -Ur true && echo made; unshare -m true && echo made; unshare -n true && echo made'
      )
      assert.doesNotMatch(text, /made/)
    }
  },
  {
    id: 'A40',
    what: 'mounts',
    async run(kit) {
      const { text } = await kit.bash(
        'mkdir m; mount -t tmpfs x m && echo done; mount -o remount,rw /usr && echo done; umount /proc && echo done; umount -l /workspace && echo done'
      )
      assert.doesNotMatch(text, /done/)
    }
  },
  {
    id: 'A41',
    what: 'no new privileges, no capabilities',
    async run(kit) {
      const { text } = await kit.bash('grep -E "NoNewPrivs|CapEff|CapPrm|CapBnd|CapAmb" /proc/self/status; id -u')
      assert.match(text, /NoNewPrivs:\t1/)
      for (const name of ['CapEff', 'CapPrm', 'CapAmb']) assert.match(text, new RegExp(`${name}:\\t0{16}`))
      assert.doesNotMatch(text, /^0$/m)
    }
  },
  {
    id: 'A42',
    what: 'a filter of system calls',
    async run(kit) {
      const { text } = await kit.bash('grep Seccomp: /proc/self/status')
      assert.match(text, /Seccomp:\t2/)
    }
  },
  contains(
    'A42',
    'refused system calls: io_uring, ptrace, bpf, keyctl, userfaultfd, clone with namespaces',
    `import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
calls = [425, 101, 321, 250, 323, 272, 165] if platform.machine() == 'x86_64' else [425, 117, 280, 219, 282, 97, 40]
errors = []
for number in calls:
  ctypes.set_errno(0)
  libc.syscall(number, 0x10000000, 0, 0, 0, 0)
  errors.append(ctypes.get_errno())
clone = 56 if platform.machine() == 'x86_64' else 220
ctypes.set_errno(0)
libc.syscall(clone, 0x10000000 | 17, 0, 0, 0, 0)
errors.append(ctypes.get_errno())
print('contained' if errors == [1] * len(errors) else errors)`
  ),
  {
    id: 'A43',
    what: 'shared memory segments',
    async run(kit) {
      await kit.python('import ctypes\nprint(ctypes.CDLL(None).shmget(0x504d4553, 4096, 0o1666))')
      const keys = readFileSync('/proc/sysvipc/shm', 'utf8')
      assert.ok(!keys.includes(String(0x504d4553)))
    }
  },
  {
    id: 'A44',
    what: '/dev/shm',
    async run(kit, marker) {
      const { text } = await kit.bash(
        `echo x > /dev/shm/${marker} && echo wrote; head -c 40000000 /dev/zero > /dev/shm/big || echo full`
      )
      assert.match(text, /wrote[\s\S]*full/)
      assert.ok(!existsSync(`/dev/shm/${marker}`))
    }
  }
]
