// Runs `main()` in this process against streams of its own, with a fresh home, beside a fake node on a real socket.

import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import type { TestContext } from 'node:test'
import { main } from '../../src/cli/main.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { createRpcServer } from '../../src/rpc/rpc-server.ts'
import { createFakeNode, type FakeNode } from '../rpc/fake-node-api.ts'
import { temporaryHome } from '../rpc/socket-harness.ts'

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly stdin?: string | Buffer
  readonly env?: NodeJS.ProcessEnv
  /** Streams are a terminal of 100 columns. */
  readonly tty?: boolean
  readonly isRoot?: boolean
  /** Called with what stdout has so far; a return of true is a Ctrl-C. */
  readonly stopWhen?: (stdout: string) => boolean
  /** A person: each text is typed when stderr shows `when` after the one before; null ends the input, a function is called instead. */
  readonly keys?: readonly { readonly when: RegExp; readonly text: string | null | (() => void) }[]
}

class Captured extends Writable {
  text = ''
  readonly isTTY: boolean
  readonly columns = 100
  onText: (text: string) => void = () => undefined

  constructor(isTTY: boolean) {
    super()
    this.isTTY = isTTY
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    this.onText(this.text)
    done()
  }
}

function typist(stdin: PassThrough, keys: NonNullable<RunOptions['keys']>): (shown: string) => void {
  const left = [...keys]
  let from = 0
  return (shown) => {
    const [next] = left
    if (next === undefined || !next.when.test(shown.slice(from))) return
    left.shift()
    from = shown.length
    const { text } = next
    setImmediate(() => {
      if (text === null) stdin.end()
      else if (typeof text === 'string') stdin.write(text)
      else text()
    })
  }
}

export interface Cli {
  readonly home: string
  readonly userHome: string
  run(...args: readonly string[]): Promise<Ran>
  runWith(options: RunOptions, ...args: readonly string[]): Promise<Ran>
}

/** A CLI with a home of its own. */
export function createCli(context: TestContext): Cli {
  const userHome = temporaryHome(context)
  const home = join(userHome, '.phantom-mesh')
  const runWith = async (options: RunOptions, ...args: readonly string[]): Promise<Ran> => {
    const stdin = new PassThrough()
    if (options.tty === true) Object.assign(stdin, { isTTY: true, setRawMode: () => stdin })
    if (options.keys === undefined) stdin.end(options.stdin ?? '')
    else stdin.write(options.stdin ?? '')
    const stdout = new Captured(options.tty === true)
    const stderr = new Captured(options.tty === true)
    stderr.onText = typist(stdin, options.keys ?? [])
    const handlers = new Set<() => void>()
    stdout.onText = (text) => {
      if (options.stopWhen?.(text) === true) for (const handler of handlers) handler()
    }
    const terminal: Terminal = {
      stdin,
      stdout,
      stderr,
      env: { HOME: userHome, ...options.env },
      isRoot: options.isRoot ?? false,
      onStopSignal: (handler) => {
        handlers.add(handler)
        return () => handlers.delete(handler)
      },
      exit: () => undefined
    }
    const code = await main(args, terminal)
    return { code, stdout: stdout.text, stderr: stderr.text }
  }
  return { home, userHome, runWith, run: (...args) => runWith({}, ...args) }
}

/** The same with a node that answers on the home's socket. */
export async function createServedCli(
  context: TestContext,
  api: FakeNode = createFakeNode()
): Promise<Cli & { readonly api: FakeNode }> {
  const cli = createCli(context)
  const server = createRpcServer({ api, path: join(cli.home, 'run', 'pmesh.sock') })
  await server.start()
  context.after(() => server.stop())
  return { ...cli, api }
}

/** One JSON value per line. */
// biome-ignore lint/suspicious/noExplicitAny: looked at field by field
export function jsonLines(text: string): any[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}
