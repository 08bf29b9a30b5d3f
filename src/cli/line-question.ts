// One line from the keyboard, typed after the question was shown: what was typed before it answers nothing.

import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import type { CommandContext } from './command-context.ts'
import type { InputStream } from './terminal.ts'

/** Long enough for a terminal to hand over what lies in its buffer. */
const DISCARD_MS = 120
const CTRL_C = '\x03'

type Keyboard = InputStream & { setRawMode?(raw: boolean): unknown }

/** The line without its end; null when the input ends, the person presses Ctrl-C (which stops the command) or `signal` aborts. */
export async function askLine(context: CommandContext, prompt: string, signal: AbortSignal): Promise<string | null> {
  const { stdin, stderr } = context.terminal
  await discardTyped(context, stdin)
  if (signal.aborted || stdin.readableEnded || stdin.destroyed) return null
  const { promise, resolve } = Promise.withResolvers<string | null>()
  const give = () => resolve(null)
  // Before readline's own: it takes a line that was begun for a line when the terminal goes away.
  stdin.once('end', give)
  const reader = createInterface({ input: stdin, output: stderr, terminal: true, historySize: 0 })
  try {
    reader.once('line', resolve)
    reader.once('close', give)
    reader.once('SIGINT', () => {
      context.stop()
      resolve(null)
    })
    signal.addEventListener('abort', give, { once: true })
    reader.setPrompt(prompt)
    reader.prompt()
    return await promise
  } finally {
    stdin.off('end', give)
    reader.close()
    stdin.pause()
  }
}

/** Raw mode first: it also gives up a line that was begun and not ended, which a later Enter would complete. */
async function discardTyped(context: CommandContext, stdin: Keyboard): Promise<void> {
  stdin.setRawMode?.(true)
  const discard = (chunk: Buffer | string) => {
    if (String(chunk).includes(CTRL_C)) context.stop()
  }
  stdin.on('data', discard)
  stdin.resume()
  await pause(DISCARD_MS)
  stdin.off('data', discard)
  stdin.pause()
  stdin.setRawMode?.(false)
}
