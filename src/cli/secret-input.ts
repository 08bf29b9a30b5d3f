// Secrets come from a hidden prompt, a file or stdin: never from a flag, never into output.

import { readFileSync } from 'node:fs'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { CommandContext } from './command-context.ts'

/** The text of PMESH_PASSPHRASE_FILE without its line end; undefined when the variable is not set. */
export function passphraseFromFile(context: CommandContext): string | undefined {
  const path = context.terminal.env.PMESH_PASSPHRASE_FILE
  if (path === undefined || path === '') return undefined
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    throw new MeshError('IDENTITY_LOCKED', 'cannot read the passphrase file', { details: { file: path }, cause: error })
  }
}

/** Asks without showing what is typed. CANCELLED when the person gives up. */
export async function askHidden(context: CommandContext, question: string): Promise<string> {
  const { isCancel, password } = await import('@clack/prompts')
  const { stdin, stderr } = context.terminal
  const answer = await password({ message: question, input: stdin, output: stderr, signal: context.signal })
  if (isCancel(answer)) throw new MeshError('CANCELLED', 'cancelled')
  return answer ?? ''
}

/** Runs `open` with the passphrase of the file, or without; when the identity is locked, asks on a terminal and tries again. */
export async function withPassphrase<Result>(
  context: CommandContext,
  open: (passphrase: string | undefined) => Promise<Result>
): Promise<Result> {
  const fromFile = passphraseFromFile(context)
  try {
    return await open(fromFile)
  } catch (error) {
    const locked = error instanceof MeshError && error.code === 'IDENTITY_LOCKED'
    if (!locked || fromFile !== undefined || !context.canAsk) throw error
  }
  return open(await askHidden(context, 'Passphrase of the identity'))
}

/** A new passphrase, typed twice on a terminal. IDENTITY_LOCKED when there is nobody to ask. */
export async function newPassphrase(context: CommandContext): Promise<string> {
  const fromFile = passphraseFromFile(context)
  if (fromFile !== undefined) return fromFile
  if (!context.canAsk)
    throw new MeshError('IDENTITY_LOCKED', 'cannot seal the identity: there is no passphrase and nobody to ask')
  const first = await askHidden(context, 'New passphrase')
  const second = await askHidden(context, 'The same again')
  if (first !== second) throw new MeshError('USAGE', 'the passphrases differ')
  return first
}

/** A credential: a hidden prompt on a terminal, else all of stdin without its last line end. */
export async function readSecret(context: CommandContext, question: string): Promise<string> {
  if (context.canAsk) return askHidden(context, question)
  const { stdin } = context.terminal
  if (stdin.isTTY === true)
    throw new MeshError('USAGE', 'the value is read from stdin; with --no-input it must be piped in')
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stdin) {
    const buffer = Buffer.from(chunk as Buffer | string)
    bytes += buffer.length
    if (bytes > LIMITS.credentialBytesMax + 2)
      throw new MeshError('USAGE', `a credential is at most ${LIMITS.credentialBytesMax} bytes`)
    chunks.push(buffer)
  }
  return Buffer.concat(chunks, bytes)
    .toString('utf8')
    .replace(/\r?\n$/, '')
}

/** Yes or no on a terminal; true where nobody can be asked. */
export async function confirmed(context: CommandContext, question: string): Promise<boolean> {
  if (!context.canAsk) return true
  const { confirm, isCancel } = await import('@clack/prompts')
  const { stdin, stderr } = context.terminal
  const answer = await confirm({
    message: question,
    initialValue: false,
    input: stdin,
    output: stderr,
    signal: context.signal
  })
  return !isCancel(answer) && answer
}
