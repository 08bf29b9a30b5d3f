// One question, one screen: what exactly, where, who, why it is asked, what it can touch. Nothing is cut, and nothing but credentials is masked
// (APPROVE-6): the arguments come first and in full, behind a bar that no argument can leave, so that the facts stand right above the question.

import { MeshError } from '../base/mesh-error.ts'
import type { ApprovalDetail, ApprovalRecord } from '../rpc/methods.ts'
import { escapeExact } from './escape-text.ts'
import { indentJson } from './exact-json.ts'
import { formatBytes, formatDuration, formatTime } from './human-text.ts'
import type { Piece } from './output.ts'
import { shortHex } from './run-text.ts'
import { blockLines } from './table.ts'

const BAR = '  │ '

/** Refuses a request whose digest is not the one of what this screen shows. APPROVAL_DIGEST_MISMATCH. */
export function checkDigest(approval: ApprovalDetail, expected: string = approval.digest): void {
  const { digest, recomputedDigest } = approval
  if (digest === recomputedDigest && expected === digest) return
  throw new MeshError('APPROVAL_DIGEST_MISMATCH', 'cannot approve: what is shown is not what would run', {
    details: { approval: approval.id, requested: digest, shown: recomputedDigest, expected }
  })
}

/** The screen of one request. `nowMs` is what its expiry counts from. */
export function approvalScreen(approval: ApprovalDetail, nowMs: number): Piece[][] {
  const open = approval.state === 'open'
  const title = open ? 'A call waits for an approval' : `The request is ${approval.state}`
  const unlike = approval.digest !== approval.recomputedDigest
  return [
    [
      { text: open ? '⏸ ' : '  ', style: 'yellow' },
      { text: title, style: 'bold' }
    ],
    [`  arguments of ${escapeExact(approval.tool)}, complete${maskedText(approval)}:`],
    ...indentJson(approval.arguments).map((line): Piece[] => [{ text: BAR, style: 'dim' }, escapeExact(line)]),
    ...blockLines(facts(approval, nowMs)),
    ...(unlike
      ? [[{ text: '  ✗ what is shown here is not what would run: do not approve it', style: 'red' } as const]]
      : []),
    ...(open && !approval.mayVote ? [[`  this node may not answer: ${approval.mayNotBecause}`]] : [])
  ]
}

function facts(approval: ApprovalDetail, nowMs: number): (readonly [string, Piece])[] {
  const { submitter, executor } = approval
  const leftMs = Date.parse(approval.expiresAt) - nowMs
  const expires = leftMs > 0 ? `in ${formatDuration(leftMs)}` : 'over'
  const tier: Piece = { text: approval.tier, style: approval.tier === 'irreversible' ? 'red' : 'bold' }
  return [
    ['tool', { text: escapeExact(approval.tool), style: 'bold' }],
    ['tier', tier],
    ['who', `${submitter.name} asks, ${executor.name} runs it`],
    // Names are what members call themselves.
    ['members', submitter.peerId === executor.peerId ? submitter.peerId : `${submitter.peerId}, ${executor.peerId}`],
    ['where', `${executor.name}: ${escapeExact(approval.workspace)}`],
    ...rowsOf('why asked', [...approval.reasons, ...approval.explanation.split('\n')].filter(Boolean), 'by default'),
    ...rowsOf('paths', approval.paths, 'none named'),
    ...rowsOf('hosts', approval.hosts, 'none named'),
    ['tainted by', approval.taint.join(', ') || 'nothing'],
    ['size', sizeOf(approval)],
    ['task', `${approval.task}, attempt ${approval.attempt}, call ${approval.call}`],
    ['votes', votesOf(approval)],
    ['tool hash', approval.toolHash],
    ['sandbox', approval.profile],
    ['digest', approval.digest],
    ['shown here', approval.recomputedDigest],
    ['request', approval.id],
    ['expires', `${expires} (${formatTime(approval.expiresAt)})`]
  ]
}

function rowsOf(key: string, texts: readonly string[], none: string): (readonly [string, Piece])[] {
  if (texts.length === 0) return [[key, none]]
  return texts.map((text, index) => [index === 0 ? key : '', escapeExact(text)])
}

/** `, but for 2 masked places that look like secrets`. */
function maskedText({ masked }: ApprovalDetail): string {
  if (masked === 0) return ''
  return masked === 1
    ? ', but for one masked place that looks like a secret'
    : `, but for ${masked} masked places that look like secrets`
}

function sizeOf({ arguments: text, argumentBytes, masked }: ApprovalDetail): string {
  const strange = [...text].filter((character) => character > '~').length
  const note = strange === 0 ? '' : `, ${strange} outside ASCII: letters may look like others`
  const places = masked === 0 ? '' : `, ${masked} masked ${masked === 1 ? 'place' : 'places'} included`
  return `arguments of ${formatBytes(argumentBytes)}${places}${note}`
}

/** `1 of 2: laptop; one by another key than laptop’s`. */
export function votesOf(approval: ApprovalRecord): string {
  const { votes, votesNeeded, anotherKey, submitter } = approval
  const given = votes.map(({ member, vote }) => `${member.name} ${vote === 'approve' ? 'approves' : 'denies'}`)
  const approvals = votes.filter(({ vote }) => vote === 'approve').length
  return [
    `${approvals} of ${votesNeeded}`,
    ...(given.length === 0 ? [] : [given.join(', ')]),
    ...(anotherKey ? [`one by another key than ${submitter.name}’s`] : [])
  ].join('; ')
}

/** The line that follows a vote. */
export function votedText(approval: ApprovalRecord): string {
  const id = shortHex(approval.id)
  return approval.state === 'open' ? `noted for ${id}: ${votesOf(approval)}` : `${id} is ${approval.state}`
}
