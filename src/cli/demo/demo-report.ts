// What the demo saw, for people: the summary, how to reach a mesh that is kept, and the commands for machines of one’s own.

import { basename, dirname, relative } from 'node:path'
import { countOf, formatCount, formatDuration } from '../human-text.ts'
import type { Output, Piece } from '../output.ts'
import { blockLines, tableLines } from '../table.ts'
import type { DemoFolder } from './demo-folder.ts'
import type { DemoResult } from './demo-run.ts'
import { CALLERS } from './share-appender.ts'

/** What a demo promises and this one did not see; empty when it saw everything. */
export function notObserved(result: DemoResult, expected: number): string[] {
  const seen: readonly (readonly [boolean, string])[] = [
    [result.nodes === 3, 'three processes'],
    [result.killed, 'a node killed amid its appends'],
    [result.lostAtRestart === 0, 'the killed node came back with every event that it had acknowledged'],
    [result.converged, 'equal heads of all chains on all nodes'],
    [result.acknowledgedLost === 0, 'every acknowledged event on every node'],
    [result.exact === true && result.events === expected, 'every line of the input exactly once on every node'],
    [result.verified, 'three equal exports that the independent verifier accepts'],
    [result.run?.approvedElsewhere === true, 'a call approved on one node and run on another'],
    [result.run?.changedCallRefused === true, 'an approval refused for a changed call'],
    [result.run?.forgedApprovalRefused === true, 'a vote refused for want of the right'],
    [result.run?.injectionBlocked === true, 'a hostile result stopped before any log'],
    [result.run?.sameOnAll === true, 'the same end of every task on every node']
  ]
  return seen.filter(([ok]) => !ok).map(([, what]) => what)
}

/** `pmesh`, or what stands for it in a checkout, where `from` is the folder the person is in. */
export function programWords(program: string, from: string): string {
  const root = dirname(dirname(program))
  if (basename(dirname(root)) === 'node_modules') return 'pmesh'
  return `node ${from === root ? relative(root, program) : program}`
}

export function printSummary(out: Output, result: DemoResult, elapsedMs: number): void {
  const number = (value: number | null, unit = '') => (value === null ? 'not seen' : `${formatCount(value)}${unit}`)
  const time = (value: number | null) => (value === null ? 'not seen' : formatDuration(value))
  const rows: (readonly [string, string, string])[] = [
    ['events', number(result.events), `on each of ${result.nodes} nodes, in ${number(result.chains)} chains`],
    [
      'appended',
      number(result.appendPerSecond, ' /s'),
      `by ${CALLERS} callers at each node, every event on disk before its answer`
    ],
    [
      'catch-up',
      number(result.catchUpPerSecond, ' /s'),
      `${number(result.missedEvents)} missed events, from the start of the process to equal heads`
    ],
    ['restart', time(result.restartMs), `until the socket answered; equal ${time(result.catchUpMs)} later`],
    [
      'lost',
      number(result.acknowledgedLost),
      `of ${countOf(result.acknowledged, 'acknowledged event')}, through one kill −9`
    ],
    [
      'verified',
      result.verified ? 'yes' : 'NO',
      `${number(result.exportedEvents)} events in each of 3 exports, by scripts/verify-export.mjs in ${time(result.verifyMs)}`
    ],
    [
      'digest',
      result.digest === null ? 'differs' : result.digest.slice(0, 12),
      result.digest === null ? 'the exports do not hold the same' : 'the same for all three exports'
    ],
    [
      'approved',
      result.run?.approvedElsewhere === true ? 'elsewhere' : 'NO',
      `asked on bob, answered on carol, at its end ${time(result.run?.approvalToEndMs ?? null)} after the vote`
    ],
    ['in all', formatDuration(elapsedMs), 'from the command to the last check']
  ]
  out.line()
  for (const [what = '', ...rest] of tableLines([{}, { align: 'right' }, {}], rows)) out.line('  ', dim(what), ...rest)
}

export function printWhatYouSaw(out: Output, result: DemoResult): void {
  const { kill } = result
  out.remark()
  out.remark({ text: 'What you saw', style: 'bold' })
  const lines = [
    'Three machines’ worth of nodes became one mesh by two invites. Nobody but their keys vouches for them.',
    `Each wrote a chain of its own that it signs; ${kill?.node ?? 'one'} was killed while writing and lost nothing that it had acknowledged.`,
    'They went on without it and it caught up. Work for bob waited for a yes from carol, and nothing ran without one.',
    'A program that shares no code with them read the whole of it as one unbroken history.'
  ]
  for (const line of lines) out.remark(`  ${line}`)
}

/** How to reach and end the nodes that stay. */
export function printKept(out: Output, folder: DemoFolder, words: string): void {
  out.line()
  out.line({ text: 'The mesh is still running', style: 'bold' })
  const rows = folder.nodes.flatMap(({ name, home, pid }): [string, Piece][] => [
    [name, `${words} --home ${home} status`],
    ['', { text: `pid ${pid}`, style: 'dim' }]
  ])
  for (const line of blockLines(rows)) out.line(...line)
  const stops = folder.nodes.map(({ home }) => `${words} --home ${home} node stop`)
  out.line('to stop it and remove everything:')
  for (const line of [...stops, `rm -r ${folder.path}`]) out.line(`  ${line}`)
}

/** Commands for two machines of one’s own, to be copied. */
export function printYourTurn(out: Output, words: string): void {
  const blocks: readonly (readonly [string, readonly string[]])[] = [
    [
      'On two machines of your own: the first',
      [`${words} node start`, `${words} invite create      # in a second terminal: prints the line to paste`]
    ],
    ['the second', [`${words} join 'THE LINE'`, `${words} node start`]],
    [
      'then work on one of them for the other',
      [
        `${words} task submit --tool calc --input '{"expression":"2**100"}' --on OTHER`,
        `${words} approval watch     # on either: answers what asks`
      ]
    ],
    ['and read what happened, on either', [`${words} task list`, `${words} log verify`]]
  ]
  for (const [title, commands] of blocks) {
    out.remark()
    out.remark({ text: title, style: 'bold' })
    for (const command of commands) out.remark(`  ${command}`)
  }
}

function dim(piece: Piece): Piece {
  return { text: typeof piece === 'string' ? piece : piece.text, style: 'dim' }
}
