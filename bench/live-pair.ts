// Two processes, one that publishes and one that stores: starts both, passes the reader's progress to the writer, takes the time.

import { fork } from 'node:child_process'

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
    let latest: Message = { seen: first }
    reader.on('message', (message: Message) => {
      latest = message
      if (writer.connected) writer.send(message)
    })
    const began = performance.now()
    writer.send({ go: ms })
    const last = Number((await said(writer, (message) => message.last !== undefined)).last)
    if (Number(latest.seen) < last) latest = await said(reader, (message) => Number(message.seen) >= last)
    const seconds = (performance.now() - began) / 1000
    return { count: last - Number(first), seconds, reader: latest as Record<string, number> }
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
export async function publishFor(
  publish: () => Promise<number>,
  published: () => number,
  window: number
): Promise<void> {
  const { promise: go, resolve } = Promise.withResolvers<number>()
  let seen = published()
  let progressed = Promise.withResolvers<void>()
  process.on('message', (message: Message) => {
    if (message.go !== undefined) resolve(Number(message.go))
    if (message.seen === undefined) return
    seen = Math.max(seen, Number(message.seen))
    progressed.resolve()
    progressed = Promise.withResolvers()
  })
  const ms = await go
  const start = performance.now()
  let last = seen
  while (performance.now() - start < ms) {
    while (published() - seen >= window) await progressed.promise
    last = await publish()
  }
  process.send?.({ last })
}
