// Two processes, one that publishes and one that stores: starts both, passes the reader's progress to the writer, takes the time.

import { fork } from 'node:child_process'

export interface Progress {
  /** How far the reader is, in the writer's own count. */
  readonly seen: number
}

export interface PairResult {
  /** What the reader got, in the writer's count, from go to the last. */
  readonly count: number
  readonly seconds: number
  /** What the reader said last, beside its progress. */
  readonly reader: Readonly<Record<string, number>>
}

type Message = Readonly<Record<string, unknown>>

const MS_MAX = 120_000

/**
 * Forks `program write FOLDER` and `program read FOLDER ADDRESS SEEN`. The writer says {address, seen}, the reader {ready} and then {seen} again and again.
 * On {go: ms} the writer publishes for that long and says {last}. Ends when the reader has seen the last.
 */
export async function runPair(program: string, folder: string, ms: number): Promise<PairResult> {
  const children: ReturnType<typeof fork>[] = []
  const start = (args: readonly string[]) => {
    const child = fork(program, args)
    children.push(child)
    return child
  }
  try {
    const writer = start(['write', folder])
    const { address, seen: first } = await said(writer, (message) => message.address !== undefined)
    const reader = start(['read', folder, String(address), String(first)])
    await said(reader, (message) => message.ready !== undefined)
    reader.on('message', (message: Message) => writer.connected && writer.send(message))
    const began = performance.now()
    const published = said(writer, (message) => message.last !== undefined)
    let seen = 0
    const ended = said(reader, (message) => {
      seen = Number(message.seen ?? seen)
      return last !== null && seen >= last
    })
    let last: number | null = null
    writer.send({ go: ms })
    last = Number((await published).last)
    const end = seen >= last ? {} : await ended
    return { count: last - Number(first), seconds: (performance.now() - began) / 1000, reader: end as Record<string, number> }
  } finally {
    for (const child of children) child.kill()
  }
}

function said(child: ReturnType<typeof fork>, wanted: (message: Message) => boolean): Promise<Message> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('a benchmark process says nothing')), MS_MAX)
    child.once('exit', () => reject(new Error('a benchmark process ended early')))
    child.on('message', (message: Message) => {
      if (!wanted(message)) return
      clearTimeout(late)
      resolve(message)
    })
  })
}

/** The writer's side: waits for go, calls `publish` while fewer than `window` are under way, says how far it came. */
export async function publishFor(publish: () => Promise<number>, published: () => number, window: number): Promise<void> {
  const { promise: go, resolve } = Promise.withResolvers<number>()
  let seen = 0
  process.on('message', (message: Message) => {
    if (message.go !== undefined) resolve(Number(message.go))
    if (message.seen !== undefined) seen = Number(message.seen)
  })
  const ms = await go
  seen = Math.max(seen, published())
  const start = performance.now()
  let last = 0
  while (performance.now() - start < ms) {
    while (published() - seen >= window) {
      if (performance.now() - start > MS_MAX) throw new Error('the reader stalls')
      await new Promise((next) => setImmediate(next))
    }
    last = await publish()
  }
  process.send?.({ last })
}
