// pmesh.log: JSON lines, 0600. What callers log are ids, counts and codes; keys and credentials never reach it.

import { closeSync, openSync } from 'node:fs'
import { pino } from 'pino'
import type { LogFields, Logger } from '../base/logger.ts'

export interface FileLogger extends Logger {
  /** Writes what is buffered and ends. */
  close(): Promise<void>
}

export async function openFileLogger(path: string, level: 'debug' | 'info' | 'warn' | 'error'): Promise<FileLogger> {
  closeSync(openSync(path, 'a', 0o600))
  const destination = pino.destination({ dest: path, append: true, mode: 0o600, sync: false, minLength: 0 })
  await new Promise<void>((resolve, reject) => {
    destination.once('ready', resolve)
    destination.once('error', reject)
  })
  destination.on('error', () => undefined)
  const log = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination)
  const at =
    (name: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}) =>
      log[name](fields, message)
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    close: () =>
      new Promise((resolve) => {
        destination.once('close', () => resolve())
        destination.end()
      })
  }
}
