// pmesh tool remove.

import type { CommandContext } from '../command-context.ts'

export async function removeTool(context: CommandContext, [name]: readonly [string]): Promise<number> {
  await context.call('tool/remove', { name })
  if (context.out.json) context.out.value({ name, removed: true })
  else context.out.remark(`removed ${name}`)
  return 0
}
