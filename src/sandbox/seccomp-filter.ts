// The system calls that a boxed process is refused, as a classic BPF program for bubblewrap's --seccomp. Namespaces and mounts do not close
// these doors: unix sockets that lie in the workspace, io_uring (which opens sockets unseen by a filter), and calls that only widen the kernel's
// surface. A refused call fails with an error; a foreign calling convention kills the process.

/** Offsets in struct seccomp_data; low halves on the little-endian machines that are supported. */
const NUMBER = 0
const ARCH = 4
const argument = (index: number): number => 16 + 8 * index

const ALLOW = 0x7fff0000
const KILL_PROCESS = 0x80000000
const errno = (code: number): number => 0x00050000 | code
const EPERM = errno(1)
const ENOSYS = errno(38)
const EAFNOSUPPORT = errno(97)

const LOAD = 0x20
const AND = 0x54
const RETURN = 0x06
const IF_EQUAL = 0x15
const IF_AT_LEAST = 0x35
const IF_ANY_BIT = 0x45

const AF_UNIX = 1
const AF_INET = 2
const AF_INET6 = 10
const AF_NETLINK = 16
const SOCK_STREAM = 1
const SOCK_SEQPACKET = 5
const SOCKET_TYPE_MASK = 0xf
const TIOCSTI = 0x5412
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const CLONE_NEW_ANY = 0x7e020000
/** Calls of the x32 convention have this bit and their own numbers. */
const X32_BIT = 0x40000000

interface Machine {
  /** AUDIT_ARCH_… */
  readonly arch: number
  readonly socket: number
  readonly socketpair: number
  readonly clone: number
  readonly ioctl: number
  readonly shmget: number
  readonly refused: readonly number[]
}

/** io_uring, new mount calls, pidfd_getfd, memfd_secret and others whose numbers are the same everywhere. */
const REFUSED_EVERYWHERE = [425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 447, 467]
const CLONE3 = 435

const MACHINES: Partial<Record<NodeJS.Architecture, Machine>> = {
  x64: {
    arch: 0xc000003e,
    socket: 41,
    socketpair: 53,
    clone: 56,
    ioctl: 16,
    shmget: 29,
    // ptrace syslog vhangup pivot_root adjtimex chroot acct settimeofday mount umount2 swapon swapoff reboot iopl ioperm init_module
    // delete_module quotactl lookup_dcookie clock_settime kexec_load add_key request_key keyctl unshare perf_event_open fanotify_init
    // name_to_handle_at open_by_handle_at clock_adjtime setns kcmp finit_module kexec_file_load bpf userfaultfd modify_ldt uselib
    refused: [
      101, 103, 153, 155, 159, 161, 163, 164, 165, 166, 167, 168, 169, 172, 173, 175, 176, 179, 212, 227, 246, 248, 249,
      250, 272, 298, 300, 303, 304, 305, 308, 312, 313, 320, 321, 323, 154, 134
    ]
  },
  arm64: {
    arch: 0xc00000b7,
    socket: 198,
    socketpair: 199,
    clone: 220,
    ioctl: 29,
    shmget: 194,
    // The same calls as above, by the generic table.
    refused: [
      117, 116, 58, 41, 171, 51, 89, 170, 40, 39, 224, 225, 142, 105, 106, 60, 18, 112, 104, 217, 218, 219, 97, 241,
      262, 264, 265, 266, 268, 272, 273, 294, 280, 282
    ]
  }
}

/** The program for bubblewrap's --seccomp, or null for a machine whose numbers are not known here. */
export function seccompFilter(
  architecture: NodeJS.Architecture,
  options: { readonly sharedSegments: boolean }
): Buffer | null {
  const machine = MACHINES[architecture]
  if (machine === undefined) return null
  const { refused, socket, socketpair, clone, ioctl, shmget } = machine
  const segments = options.sharedSegments ? [] : [shmget]
  return assemble([
    [LOAD, ARCH],
    [IF_EQUAL, machine.arch, 1, 0],
    [RETURN, KILL_PROCESS],
    [LOAD, NUMBER],
    [IF_AT_LEAST, X32_BIT, 0, 1],
    [RETURN, ENOSYS],
    ...[...refused, ...REFUSED_EVERYWHERE, ...segments].flatMap((call) => when(call, [[RETURN, EPERM]])),
    // The C library falls back to clone, whose flags can be seen.
    ...when(CLONE3, [[RETURN, ENOSYS]]),
    ...when(clone, [
      [LOAD, argument(0)],
      [IF_ANY_BIT, CLONE_NEW_ANY, 0, 1],
      [RETURN, EPERM],
      [RETURN, ALLOW]
    ]),
    ...when(ioctl, [
      [LOAD, argument(1)],
      [IF_EQUAL, TIOCSTI, 0, 1],
      [RETURN, EPERM],
      [RETURN, ALLOW]
    ]),
    ...when(socket, [
      [LOAD, argument(0)],
      [IF_EQUAL, AF_INET, 3, 0],
      [IF_EQUAL, AF_INET6, 2, 0],
      [IF_EQUAL, AF_NETLINK, 1, 0],
      [RETURN, EAFNOSUPPORT],
      [RETURN, ALLOW]
    ]),
    // One half of a datagram pair could still send to any socket that has a path.
    ...when(socketpair, [
      [LOAD, argument(0)],
      [IF_EQUAL, AF_UNIX, 1, 0],
      [RETURN, EAFNOSUPPORT],
      [LOAD, argument(1)],
      [AND, SOCKET_TYPE_MASK],
      [IF_EQUAL, SOCK_STREAM, 2, 0],
      [IF_EQUAL, SOCK_SEQPACKET, 1, 0],
      [RETURN, EPERM],
      [RETURN, ALLOW]
    ]),
    [RETURN, ALLOW]
  ])
}

type Instruction = readonly [code: number, value: number, ifTrue?: number, ifFalse?: number]

/** `body` must return on every path: the accumulator no longer holds the call's number behind it. */
function when(call: number, body: readonly Instruction[]): Instruction[] {
  return [[IF_EQUAL, call, 0, body.length], ...body]
}

function assemble(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8)
  program.forEach(([code, value, ifTrue = 0, ifFalse = 0], index) => {
    const at = index * 8
    bytes.writeUInt16LE(code, at)
    bytes.writeUInt8(ifTrue, at + 2)
    bytes.writeUInt8(ifFalse, at + 3)
    bytes.writeUInt32LE(value >>> 0, at + 4)
  })
  return bytes
}
