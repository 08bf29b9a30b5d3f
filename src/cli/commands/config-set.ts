// pmesh config set: writes one value, comments kept; the node reads it at its next start.

import { setConfigValue } from '../../config/config-file.ts'
import { prepareHome } from '../../config/paths.ts'
import type { CommandContext } from '../command-context.ts'

export async function setConfig(context: CommandContext, [key, value]: readonly [string, string]): Promise<number> {
  prepareHome(context.paths)
  setConfigValue(context.paths.config, key, value)
  if (context.out.json) context.out.value({ key, value })
  else context.out.remark(`${key} = ${value}   counts from the next start of the node`)
  return 0
}
