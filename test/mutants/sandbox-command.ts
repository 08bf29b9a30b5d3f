// Controls of the command sandbox and of file tracking.

import type { Mutant } from '../mutants.ts'

export const SANDBOX_COMMAND_MUTANTS: readonly Mutant[] = [
  {
    id: 'SANDBOX-1',
    what: 'unix sockets may be opened',
    file: 'src/sandbox/seccomp-filter.ts',
    find: '[IF_EQUAL, AF_NETLINK, 1, 0],\n      [RETURN, EAFNOSUPPORT],',
    replace: '[IF_EQUAL, AF_NETLINK, 1, 0],\n      [RETURN, ALLOW],'
  },
  {
    id: 'SANDBOX-1',
    what: 'datagram pairs may be made',
    file: 'src/sandbox/seccomp-filter.ts',
    find: '[IF_EQUAL, SOCK_SEQPACKET, 1, 0],\n      [RETURN, EPERM],',
    replace: '[IF_EQUAL, SOCK_SEQPACKET, 1, 0],\n      [RETURN, ALLOW],'
  },
  {
    id: 'SANDBOX-1',
    what: 'inherited descriptors stay open',
    file: 'src/sandbox/box-launcher.ts',
    find: '((number > 2))',
    replace: '((number > 9999))'
  },
  {
    id: 'SANDBOX-1',
    what: 'the box’s root stays writable',
    file: 'src/sandbox/bubblewrap-box.ts',
    find: "...['--remount-ro', '/dev', '--remount-ro', '/', ",
    replace: '...['
  },
  {
    id: 'SANDBOX-1',
    what: 'the box shares the network',
    file: 'src/sandbox/bubblewrap-box.ts',
    find: "'--unshare-all', '--disable-userns'",
    replace: "'--unshare-all', '--share-net', '--disable-userns'"
  },
  {
    id: 'SANDBOX-1',
    what: 'what a program planted stays',
    file: 'src/sandbox/protected-paths.ts',
    find: 'if (known.has(entry.identity)) return',
    replace: 'if (known.size >= 0) return'
  },
  {
    id: 'SANDBOX-1',
    what: 'a .git folder may be moved aside',
    file: 'src/sandbox/bubblewrap-box.ts',
    find: '...request.pinned.flatMap(',
    replace: '...([] as string[]).flatMap('
  },
  {
    id: 'SANDBOX-1',
    what: 'protected files are writable',
    file: 'src/sandbox/bubblewrap-box.ts',
    find: '...request.readOnly.flatMap(',
    replace: '...([] as string[]).flatMap('
  },
  {
    id: 'SANDBOX-1',
    what: 'protected names that are links are mounted',
    file: 'src/sandbox/protected-paths.ts',
    find: "filter(({ kind }) => kind === 'file' || kind === 'folder')",
    replace: "filter(({ kind }) => kind !== 'other')"
  },
  {
    id: 'SANDBOX-1',
    what: 'two boxes share a workspace',
    file: 'src/sandbox/command-sandbox.ts',
    find: 'if (this.#inUse.has(job.workspace))',
    replace: "if (job.workspace === '')"
  },
  {
    id: 'SANDBOX-2',
    what: 'the time limit comes late',
    file: 'src/sandbox/supervisor.ts',
    find: "stop('timeout'), bounds.timeMs)",
    replace: "stop('timeout'), bounds.timeMs + 8_000)"
  },
  {
    id: 'SANDBOX-2',
    what: 'a box outlives its node',
    file: 'src/sandbox/bubblewrap-box.ts',
    find: "'--die-with-parent', '--new-session'",
    replace: "'--new-session'"
  },
  {
    id: 'SANDBOX-2',
    what: 'cancelling changes nothing',
    file: 'src/sandbox/supervisor.ts',
    find: "bounds.signal.addEventListener('abort', cancel)",
    replace: "bounds.signal.addEventListener('never', cancel)"
  },
  {
    id: 'SANDBOX-3',
    what: 'the memory of all processes together is not looked at',
    file: 'src/sandbox/command-sandbox.ts',
    find: 'if (group === null ? memoryBytes > job.limits.memoryBytes : group.outOfMemory())',
    replace: 'if (group?.outOfMemory() === true && memoryBytes > 0)'
  },
  {
    id: 'SANDBOX-3',
    what: 'processes are not counted',
    file: 'src/sandbox/box-launcher.ts',
    find: 'Math.min(processes + 1, HARD.processes)',
    replace: 'Math.min(processes + 5000, HARD.processes)'
  },
  {
    id: 'SANDBOX-3',
    what: 'output has no cap',
    file: 'src/sandbox/supervisor.ts',
    find: 'if (room < 0) full()',
    replace: 'if (room < -1e12) full()'
  },
  {
    id: 'SANDBOX-3',
    what: 'files without a name are not counted',
    file: 'src/sandbox/command-sandbox.ts',
    find: 'let bytes = unlinkedDiskBytes',
    replace: 'let bytes = 0 * unlinkedDiskBytes'
  },
  {
    id: 'SANDBOX-3',
    what: 'files may have any size',
    file: 'src/sandbox/box-launcher.ts',
    find: 'Math.min(fileBytes, HARD.fileBytes)',
    replace: 'Math.min(fileBytes * 1000, HARD.fileBytes)'
  },
  {
    id: 'SANDBOX-6',
    what: 'any answer of the trial command counts',
    file: 'src/sandbox/command-sandbox.ts',
    find: "if (stdout.toString('utf8') === 'boxed\\n') return",
    replace: 'if (stdout.length >= 0) return'
  },
  {
    id: 'SANDBOX-6',
    what: 'commands may run as root',
    file: 'src/sandbox/workspaces.ts',
    find: 'if (user.uid === 0 || user.gid === 0)',
    replace: 'if (user.uid === -1)'
  },
  {
    id: 'CMD-5',
    what: 'the box shows the host’s files',
    file: 'src/sandbox/bubblewrap-box.ts',
    find: "...['--bind', workspace, BOX_WORKSPACE],",
    replace: "...['--bind', workspace, BOX_WORKSPACE, '--ro-bind', '/tmp', '/tmp'],"
  },
  {
    id: 'TRACK-1',
    what: 'a file with the same times counts as the same',
    file: 'src/sandbox/workspace-snapshot.ts',
    find: 'return sameTimes && entry.identity === known.identity && known.ctimeNs + CLOCK_TICK_NS < takenNs',
    replace:
      'return entry.mtimeNs === known.mtimeNs && entry.identity === known.identity && (sameTimes || takenNs > 0n)'
  },
  {
    id: 'TRACK-1',
    what: 'renames are not seen',
    file: 'src/sandbox/workspace-snapshot.ts',
    find: 'movedFrom.get(file.identity)',
    replace: "movedFrom.get('')"
  },
  {
    id: 'TRACK-1',
    what: 'another file with the same number counts as the same',
    file: 'src/sandbox/workspace-walk.ts',
    find: '{ dev, ino, birthtimeNs }',
    replace: '{ dev, ino, nlink: birthtimeNs }'
  },
  {
    id: 'TRACK-1',
    what: 'a folder that became a link is walked',
    file: 'src/sandbox/workspace-walk.ts',
    find: 'constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW',
    replace: 'constants.O_RDONLY | constants.O_DIRECTORY'
  },
  {
    id: 'TRACK-1',
    what: 'what is too much is not told',
    file: 'src/sandbox/workspaces.ts',
    find: 'if (!after.complete) throw',
    replace: 'if (after.files.size < 0) throw'
  }
]
