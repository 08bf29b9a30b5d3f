// The local socket of a running node: newline-delimited JSON-RPC 2.0, one connection object per client. The socket's file is the
// permission: 0600 in a folder that only its owner enters (RPC-1); whoever can open it has every scope.

import { chmod, lstat } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { LIMITS } from '../base/limits.ts'
import { type Logger, silentLogger } from '../base/logger.ts'
import { MeshError, messageOf } from '../base/mesh-error.ts'
import type { NodeApi } from '../node/node-api.ts'
import { errorObject } from './json-rpc.ts'
import { RpcConnection } from './rpc-connection.ts'
import { checkSocketPath, clearStaleSocket, prepareSocketFolder, systemCode } from './socket-file.ts'

const STOP_GRACE_MS = 1_000

export interface RpcServerOptions {
  readonly api: NodeApi
  /** Where the socket is made. */
  readonly path: string
  readonly logger?: Logger
}

export interface RpcServer {
  /** NODE_RUNNING when a node listens there; SOCKET_FAILED, SOCKET_EXPOSED. */
  start(): Promise<void>
  /** Takes no more clients, answers what is in flight for at most a second, removes the socket. */
  stop(): Promise<void>
  clients(): number
}

/** A server that is not yet listening. */
export function createRpcServer(options: RpcServerOptions): RpcServer {
  const logger = options.logger ?? silentLogger
  const connections = new Set<RpcConnection>()
  const server = createServer({ allowHalfOpen: true }, (socket) => accept(socket))

  function accept(socket: Socket): void {
    if (connections.size >= LIMITS.rpcClientsMax) {
      socket.on('error', (error) => logger.debug('socket client refused', { reason: messageOf(error) }))
      const error = errorObject(
        new MeshError('RPC_OVERLOADED', `cannot answer: ${LIMITS.rpcClientsMax} clients are connected`)
      )
      socket.end(`${JSON.stringify({ jsonrpc: '2.0', id: null, error })}\n`, () => socket.destroySoon())
      return
    }
    const connection = new RpcConnection(socket, {
      api: options.api,
      logger,
      onClose: () => connections.delete(connection)
    })
    connections.add(connection)
  }

  return {
    clients: () => connections.size,
    start: () => listen(server, options.path, logger),
    stop: async () => {
      if (!server.listening) return
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const connection of connections) connection.finish()
      const timer = setTimeout(() => {
        for (const connection of connections) connection.destroy()
      }, STOP_GRACE_MS)
      await closed
      clearTimeout(timer)
    }
  }
}

async function listen(server: Server, path: string, logger: Logger): Promise<void> {
  checkSocketPath(path)
  await prepareSocketFolder(path)
  await clearStaleSocket(path)
  await new Promise<void>((resolve, reject) => {
    const fail = (error: Error) => reject(listenError(error, path))
    server.once('error', fail)
    server.listen({ path, backlog: LIMITS.rpcClientsMax }, () => {
      server.off('error', fail)
      server.on('error', (error) => logger.error('local socket failed', { reason: messageOf(error) }))
      resolve()
    })
  })
  await chmod(path, 0o600)
  const mode = (await lstat(path)).mode & 0o777
  if (process.platform !== 'win32' && mode !== 0o600) {
    server.close()
    throw new MeshError('SOCKET_EXPOSED', 'cannot open the socket: its mode cannot be set to 0600', {
      details: { socket: path }
    })
  }
}

function listenError(error: Error, path: string): MeshError {
  if (systemCode(error) === 'EADDRINUSE') {
    return new MeshError('NODE_RUNNING', 'cannot open the socket: another node has just opened it', {
      details: { socket: path },
      cause: error
    })
  }
  return new MeshError('SOCKET_FAILED', `cannot open the socket: ${systemCode(error)}`, {
    details: { socket: path },
    cause: error
  })
}
