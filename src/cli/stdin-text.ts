// Text that may be given as an argument or, by -, on stdin.

import { isJson } from '../base/json-text.ts'
import { LIMITS } from '../base/limits.ts'
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

/** JSON text as it was written, from the argument or stdin. `command` is what was typed before it. TASK_INPUT_TOO_LARGE; USAGE when it is not JSON. */
export async function readJsonInput(context: CommandContext, text: string, command: string): Promise<string> {
  const input = await readInput(context, text, LIMITS.toolInputBytesMax)
  if (isJson(input)) return input
  const said = input.length > SAID_CHARACTERS ? `${input.slice(0, SAID_CHARACTERS)}…` : input
  throw new MeshError(
    'USAGE',
    UNQUOTED.test(input) ? `${NOT_JSON}: its quotes are missing, the shell takes them` : NOT_JSON,
    {
      details: { input: said === '' ? 'nothing' : said },
      hint: `${command} --input '{"name": "value"}' in single quotes, or --input - and the text on stdin`
    }
  )
}

const NOT_JSON = 'the input is not JSON'
const SAID_CHARACTERS = 80
/** `{expression:6*7}`: what is left of double quotes inside double quotes. */
const UNQUOTED = /^\s*\{\s*[\w.-]+\s*:/

function checkSize(bytes: number, bytesMax: number): void {
  if (bytes > bytesMax) throw new MeshError('TASK_INPUT_TOO_LARGE', `the input is longer than ${bytesMax} bytes`)
}
