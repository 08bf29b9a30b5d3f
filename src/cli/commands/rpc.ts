// pmesh rpc: any method of the local socket, params and result as JSON.

import { LIMITS } from '../../base/limits.ts'
import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'

export async function callRpc(context: CommandContext, [method, json]: readonly [string, string?]): Promise<number> {
  const params = readParams(json === '-' ? await readStdin(context) : (json ?? '{}'))
  const client = await context.client()
  const result = await client.callByName(method, params, {
    signal: context.signal,
    timeoutMs: context.options.timeoutMs
  })
  if (context.out.json || !context.out.onTerminal) context.out.value(result)
  else for (const line of JSON.stringify(result, null, 2).split('\n')) context.out.line(line)
  return 0
}

function readParams(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new MeshError('USAGE', 'the params are not JSON', {
      hint: 'pmesh rpc log/query \'{"limit": 5}\'',
      cause: error
    })
  }
}

async function readStdin(context: CommandContext): Promise<string> {
  let text = ''
  for await (const chunk of context.terminal.stdin) {
    text += String(chunk)
    if (text.length > LIMITS.rpcLineBytesMax) throw new MeshError('RPC_LINE_TOO_LONG', 'the params are too long')
  }
  return text
}
