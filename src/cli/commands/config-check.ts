// pmesh config check: reads config.toml and agents.toml as the node would.

import { MeshError } from '../../base/mesh-error.ts'
import { loadConfig } from '../../config/config-file.ts'
import { checkHome } from '../../config/paths.ts'
import type { CommandContext } from '../command-context.ts'
import { credentialRows } from '../credential-store.ts'
import { countOf } from '../human-text.ts'

export async function checkConfig(context: CommandContext): Promise<number> {
  const { out, paths } = context
  checkHome(paths)
  const { rows, values } = loadConfig(paths.config, { env: context.terminal.env })
  const credentials = credentialRows(paths.agents)
  const exposed = credentials.find(
    ({ state, place }) => state === 'plaintext' && !values.security.allow_plaintext.includes(place)
  )
  if (exposed !== undefined) {
    throw new MeshError('CREDENTIAL_PLAINTEXT', `${exposed.place} holds a key in plain text`, {
      details: { place: exposed.place, file: paths.agents }
    })
  }
  const set = rows.filter(({ origin }) => origin !== 'default').length
  if (out.json) out.value({ ok: true, settings: set, credentials: credentials.length })
  else out.remark(`sound: ${countOf(set, 'setting')} changed, ${countOf(credentials.length, 'credential')}`)
  return 0
}
