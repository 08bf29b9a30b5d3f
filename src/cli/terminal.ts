// What a command may know of the world outside: its three streams, the environment, signals. Tests give their own.

import { userInfo } from 'node:os'
import type { Readable, Writable } from 'node:stream'

export type InputStream = Readable & { readonly isTTY?: boolean }
export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number }

export interface Terminal {
  readonly stdin: InputStream
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  readonly env: NodeJS.ProcessEnv
  readonly isRoot: boolean
  /** Calls back for SIGINT and SIGTERM until the returned function is called. */
  onStopSignal(handler: () => void): () => void
  /** Ends the process at once: the answer to a second signal. */
  exit(code: number): void
}

/** The process's own. */
export function processTerminal(): Terminal {
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    isRoot: process.platform !== 'win32' && userInfo().uid === 0,
    onStopSignal: (handler) => {
      process.on('SIGINT', handler)
      process.on('SIGTERM', handler)
      return () => {
        process.off('SIGINT', handler)
        process.off('SIGTERM', handler)
      }
    },
    exit: (code) => process.exit(code)
  }
}
