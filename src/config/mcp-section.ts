// What agents.toml says of MCP servers: `[mcp.NAME]` with `command` and `args` for one that runs here in the command sandbox, or with
// `url` for one that answers over HTTP. Nothing is started here.

import { z } from 'zod'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { AgentsFile } from './agents-file.ts'

const TIER = z.enum(['read-only', 'internal', 'external', 'irreversible'])
const SERVER = z
  .strictObject({
    command: z.string().min(1).max(4096).optional(),
    args: z.array(z.string().max(65_536)).max(256).default([]),
    url: z
      .url({ protocol: /^https?$/ })
      .max(2048)
      .optional(),
    tiers: z.record(z.string().min(1).max(128), TIER).default({}),
    enabled: z.boolean().default(true)
  })
  .refine(({ command, url }) => (command === undefined) !== (url === undefined), 'needs either command or url')
const SERVERS = z.record(z.string().regex(/^[a-z][a-z0-9_]{0,31}$/, 'names match ^[a-z][a-z0-9_]{0,31}$'), SERVER)

export interface McpServerSection {
  readonly name: string
  readonly place:
    | { readonly kind: 'command'; readonly argv: readonly string[] }
    | { readonly kind: 'http'; readonly url: string }
  /** Risk tiers by the server's own name of the tool; a tool that is not there is irreversible. */
  readonly tiers: ReadonlyMap<string, z.infer<typeof TIER>>
}

/** The enabled servers, in the file's order. CONFIG_INVALID names the place. */
export function readMcpSection(file: AgentsFile): readonly McpServerSection[] {
  const read = SERVERS.safeParse(file.readTable().mcp ?? {})
  if (!read.success) {
    const [issue] = read.error.issues
    const place = ['mcp', ...(issue?.path ?? [])].join('.')
    throw new MeshError('CONFIG_INVALID', `${place}: ${issue?.message ?? ''}`, { details: { file: file.path } })
  }
  const enabled = Object.entries(read.data).filter(([, server]) => server.enabled)
  if (enabled.length > LIMITS.mcpServersMax) {
    throw new MeshError('CONFIG_INVALID', `mcp: more than ${LIMITS.mcpServersMax} servers`, {
      details: { file: file.path }
    })
  }
  return enabled.map(([name, { command, args, url, tiers }]) => ({
    name,
    place: url === undefined ? { kind: 'command', argv: [command ?? '', ...args] } : { kind: 'http', url },
    tiers: new Map(Object.entries(tiers))
  }))
}
