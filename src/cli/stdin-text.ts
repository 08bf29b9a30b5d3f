// Text that may be given as an argument or, by -, on stdin.

import { MeshError } from '../base/mesh-error.ts'
import type { CommandContext } from './command-context.ts'

/** The argument, or all of stdin for `-`. TASK_INPUT_TOO_LARGE; USAGE when it is not UTF-8. */
export async function readInput(context: CommandContext, text: string, bytesMax: number): Promise<string> {
  if (text !== '-') {
    checkSize(Buffer.byteLength(text), bytesMax)
    return text
  }
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of context.terminal.stdin) {
    const buffer = Buffer.from(chunk as Buffer | string)
    bytes += buffer.length
    checkSize(bytes, bytesMax)
    chunks.push(buffer)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks, bytes))
  } catch (error) {
    throw new MeshError('USAGE', 'the input is not UTF-8', { cause: error })
  }
}

function checkSize(bytes: number, bytesMax: number): void {
  if (bytes > bytesMax) throw new MeshError('TASK_INPUT_TOO_LARGE', `the input is longer than ${bytesMax} bytes`)
}
