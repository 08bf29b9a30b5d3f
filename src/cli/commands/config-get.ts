// pmesh config get.

import { MeshError } from '../../base/mesh-error.ts'
import { loadConfig } from '../../config/config-file.ts'
import type { CommandContext } from '../command-context.ts'

export async function getConfig(context: CommandContext, [key]: readonly [string]): Promise<number> {
  const row = loadConfig(context.paths.config, { env: context.terminal.env }).rows.find((one) => one.key === key)
  if (row === undefined) throw new MeshError('CONFIG_KEY_UNKNOWN', `there is no setting ${key}`, { details: { key } })
  if (context.out.json) context.out.value({ key, value: row.shown, origin: row.origin, variable: row.variable })
  else context.out.line(typeof row.shown === 'string' ? row.shown : JSON.stringify(row.shown))
  return 0
}
