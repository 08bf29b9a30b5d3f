// pmesh node start: runs the node in this process until Ctrl-C, SIGTERM or pmesh node stop.

import { MeshError, messageOf } from '../../base/mesh-error.ts'
import { checkHome } from '../../config/paths.ts'
import type { StartedNode } from '../../node/start-node.ts'
import type { NodeStatus } from '../../rpc/methods.ts'
import { createRpcServer } from '../../rpc/rpc-server.ts'
import { isSocketLive } from '../../rpc/socket-file.ts'
import type { CommandContext } from '../command-context.ts'
import { countOf, formatCount, formatDuration, shortId, shortPath } from '../human-text.ts'
import type { Output } from '../output.ts'
import { withPassphrase } from '../secret-input.ts'
import { followSync, type SyncProgress } from '../sync-progress.ts'
import { blockLines } from '../table.ts'

const STREAM_ERRORS: ReadonlySet<string> = new Set([
  'StreamStateError',
  'StreamResetError',
  'StreamAbortedError',
  'ConnectionClosedError',
  'MuxerClosedError'
])

export interface NodeStartOptions {
  readonly bootstrap?: readonly string[]
  readonly listen?: readonly string[]
  readonly door?: readonly string[]
  readonly mdns: boolean
  readonly pskFile?: string
  readonly recoverNow?: true
}

export async function startNodeCommand(
  context: CommandContext,
  _args: readonly [],
  options: NodeStartOptions
): Promise<number> {
  const startedAt = performance.now()
  const { out } = context
  if (context.terminal.isRoot) {
    out.warn(
      { text: '!', style: 'yellow' },
      ' running as root: whoever takes over this process has the whole machine; use an account of its own'
    )
  }
  checkHome(context.paths)
  const socket = context.socket()
  if (await isSocketLive(socket)) {
    throw new MeshError('NODE_RUNNING', 'cannot start: a node runs on this home', { details: { socket } })
  }
  const node = await launch(context, options, socket)
  const server = createRpcServer({ api: node.api, path: socket, logger: node.logger })
  guardProcess(node)
  const stop = () => void node.stop()
  let sync: SyncProgress | null = null
  context.signal.addEventListener('abort', stop)
  try {
    await server.start()
    if (context.signal.aborted) stop()
    else await announce(context, node.api, performance.now() - startedAt)
    sync = followSync(context, node.api)
    await node.done
  } finally {
    sync?.end()
    context.signal.removeEventListener('abort', stop)
    await node.stop()
    await server.stop()
  }
  if (!out.json) out.remark('stopped')
  return 0
}

async function launch(context: CommandContext, options: NodeStartOptions, socket: string) {
  const { startNode } = await import('../../node/start-node.ts')
  const { mdns, ...given } = options
  return withPassphrase(context, (passphrase) =>
    startNode({
      home: context.paths,
      // Only what was said is a flag: the rest comes from config.toml.
      flags: { ...given, ...(mdns ? {} : { mdns }) },
      socket,
      ...(passphrase === undefined ? {} : { passphrase }),
      onEvent: (line) => {
        if (!context.out.json) context.out.note(line)
      }
    })
  )
}

async function announce(
  context: CommandContext,
  api: { status(): Promise<NodeStatus> },
  elapsedMs: number
): Promise<void> {
  const status = await api.status()
  if (context.out.json) context.out.value(status)
  else printStarted(context.out, status, elapsedMs, context.userHome)
}

/**
 * The network library lets errors of streams that close while they are written escape: a remote side must not end this process by that.
 * Anything else that nobody caught is a defect: it is logged, and the node stops in order.
 */
function guardProcess(node: StartedNode): void {
  process.on('unhandledRejection', (reason) => {
    node.logger.error('a rejection that nobody handled', { message: messageOf(reason) })
  })
  process.on('uncaughtException', (error) => {
    node.logger.error('an error that nobody caught', { name: error.name, message: messageOf(error) })
    if (STREAM_ERRORS.has(error.name)) return
    process.exitCode = 1
    node.stop().catch((cause: unknown) => node.logger.error('the stop failed', { message: messageOf(cause) }))
  })
}

/** The block of a started node: what listens where, and the next step. */
export function printStarted(out: Output, status: NodeStatus, elapsedMs: number, userHome: string | undefined): void {
  const { mesh, listening, log } = status
  const doors = listening.door.map((address) => /\/tcp\/(\d+)/.exec(address)?.[1] ?? address)
  const places = [
    listening.main.length === 0 ? 'nowhere' : listening.main.map(withoutPeerId).join(' '),
    ...(doors.length === 0 ? [] : [`door ${[...new Set(doors)].join(' ')}`]),
    listening.mdns ? 'mDNS on' : 'mDNS off'
  ]
  out.line({ text: `pmesh ${status.version}`, style: 'bold' }, `   node ${status.name}   ${shortId(status.peerId)}`)
  const rows: [string, string][] = [
    ['mesh', `${mesh.name} (${countOf(mesh.members, 'member')})`],
    ['listening', places.join(' · ')],
    ['socket', shortPath(status.socket, userHome)],
    ['log', `${formatCount(log.events)} events, opened in ${formatDuration(log.openedInMs)}`],
    ...(status.run === undefined ? [] : [['sandbox', status.run.sandbox] as [string, string]])
  ]
  for (const line of blockLines(rows.map(([key, value]) => [key.padEnd(10), value]))) out.line(...line)
  if (status.state !== 'ready')
    out.line({
      text: `! ${status.state.replaceAll('-', ' ')}${status.stateDetail === '' ? '' : `: ${status.stateDetail}`}`,
      style: 'yellow'
    })
  const ready = status.state === 'ready' ? 'ready' : 'up'
  out.line(`${ready} in ${formatDuration(elapsedMs)} — Ctrl-C to stop`)
  const next = mesh.members > 1 || status.state !== 'ready' ? 'pmesh status' : 'pmesh invite create'
  out.remark('next: ', { text: next, style: 'bold' })
}

/** The address without this node's own id at its end: the block names it above. */
function withoutPeerId(address: string): string {
  return address.replace(/\/p2p\/[^/]+$/, '')
}
