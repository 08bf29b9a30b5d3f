// pmesh join: enters the mesh of an invite, through the running node or without one.

import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'
import { withPassphrase } from '../secret-input.ts'
import { blockLines } from '../table.ts'

const JOIN_TIMEOUT_MS = 90_000
const LINE_BYTES_MAX = 8_192

export async function joinCommand(
  context: CommandContext,
  [words]: readonly [string[]],
  options: { readonly name?: string }
): Promise<number> {
  const line = inviteOf(words.length === 1 && words[0] === '-' ? await readLine(context) : words.join(' '))
  const client = await context.clientIfRunning()
  const result =
    client === null
      ? await joinWithoutNode(context, line, options.name)
      : await context.call(
          'mesh/join',
          { line, ...(options.name === undefined ? {} : { name: options.name }) },
          { timeoutMs: JOIN_TIMEOUT_MS }
        )
  const { out } = context
  if (out.json) {
    out.value(result)
    return 0
  }
  out.line(`joined ${result.mesh}`)
  const rows: [string, string][] = [
    ['inviter', `${result.inviter.name}   ${result.inviter.fingerprint}   compare with the inviter’s screen`],
    ['this node', result.fingerprint]
  ]
  for (const row of blockLines(rows)) out.line(...row)
  out.remark('next: ', { text: client === null ? 'pmesh node start' : 'pmesh status', style: 'bold' })
  return 0
}

/** The invite in what was pasted: with or without `pmesh join` and quotes around it. */
export function inviteOf(pasted: string): string {
  const line = pasted
    .trim()
    .replace(/^pmesh\s+join\s+/, '')
    .replaceAll(/^['"‘“]|['"’”]$/g, '')
    .trim()
  if (line === '') throw new MeshError('INVITE_INVALID', 'cannot read the invite: there is nothing')
  return line
}

async function joinWithoutNode(context: CommandContext, line: string, name: string | undefined) {
  const { joinMesh } = await import('../../node/join-mesh.ts')
  return withPassphrase(context, (passphrase) =>
    joinMesh({
      home: context.paths,
      line,
      name: name ?? null,
      signal: context.signal,
      onStep: (step: string) => {
        if (!context.out.json) context.out.note(step)
      },
      ...(passphrase === undefined ? {} : { passphrase })
    })
  )
}

async function readLine(context: CommandContext): Promise<string> {
  let text = ''
  for await (const chunk of context.terminal.stdin) {
    text += String(chunk)
    if (text.length > LINE_BYTES_MAX) throw new MeshError('INVITE_INVALID', 'cannot read the invite: it is too long')
    if (text.includes('\n')) break
  }
  return text.split('\n')[0] ?? ''
}
