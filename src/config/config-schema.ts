// What config.toml may hold. Every key has a default; unknown keys are errors.

import { z } from 'zod'

const LISTEN_MAX = 16
const ADDRESS_LENGTH_MAX = 512

const multiaddr = z
  .string()
  .max(ADDRESS_LENGTH_MAX)
  .regex(/^\/[\x21-\x7e]+$/, 'a multiaddr begins with /')
const multiaddrs = z.array(multiaddr).max(LISTEN_MAX)

/** Shape and defaults of config.toml. */
export const configSchema = z.strictObject({
  node: z
    .strictObject({
      /** Shown to other members; the host's name when empty. */
      name: z.string().max(64).default('')
    })
    .prefault({}),
  network: z
    .strictObject({
      listen: multiaddrs.default(['/ip4/0.0.0.0/tcp/4701']),
      door: multiaddrs.default(['/ip4/0.0.0.0/tcp/4702']),
      /** Members to dial first. */
      bootstrap: z.array(multiaddr).max(64).default([]),
      /** Addresses to tell the others beside those that are listened on. */
      announce: z.array(multiaddr).max(8).default([]),
      mdns: z.boolean().default(true),
      websocket: z.boolean().default(false),
      hole_punching: z.boolean().default(true),
      relay: z.strictObject({ client: z.boolean().default(true), server: z.boolean().default(false) }).prefault({})
    })
    .prefault({}),
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
  identity: z.strictObject({ seal: z.enum(['key-file', 'passphrase', 'keyring']).default('key-file') }).prefault({}),
  security: z
    .strictObject({
      /** Places in agents.toml whose plaintext is allowed, as providers.ollama.api_key. */
      allow_plaintext: z.array(z.string().max(256)).max(64).default([])
    })
    .prefault({})
})

/** The settings of one node, defaults filled in. */
export type ConfigValues = z.output<typeof configSchema>

/** Sections that only the file may set: no variable, no flag, no reference to a variable (POLICY-5). */
export const SECURITY_SECTIONS: ReadonlySet<string> = new Set(['identity', 'security'])

/** Dotted names of all settings, in the schema's order. */
export const CONFIG_KEYS: readonly string[] = leavesOf(configSchema.parse({}))

function leavesOf(value: object, prefix = ''): string[] {
  return Object.entries(value).flatMap(([key, inner]) => {
    const isTable = typeof inner === 'object' && inner !== null && !Array.isArray(inner)
    return isTable ? leavesOf(inner as object, `${prefix}${key}.`) : [`${prefix}${key}`]
  })
}
