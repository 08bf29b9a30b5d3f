// pmesh policy check: reads a policy file and says what is wrong with it; needs no node.

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { isMeshError, MeshError } from '../../base/mesh-error.ts'
import { type LoadedPolicy, loadPolicy } from '../../policy/policy-file.ts'
import type { CommandContext } from '../command-context.ts'
import { shortPath } from '../human-text.ts'

export async function checkPolicy(context: CommandContext, [file]: readonly [string?]): Promise<number> {
  const path = file === undefined ? context.paths.policy : resolve(file)
  if (file !== undefined && !existsSync(path))
    throw new MeshError('USAGE', 'cannot read the policy: there is no such file', {
      details: { file: path },
      hint: 'pmesh policy check without a file reads the one of this home'
    })
  const policy = load(path)
  const { out } = context
  const shown = shortPath(path, context.userHome)
  if (out.json) out.value({ ok: true, file: path, hash: policy.hash })
  else if (policy.text === '') out.remark(`${shown} is empty or not there: every call asks`)
  else out.remark(`${shown} is sound   hash ${policy.hash}`)
  return 0
}

/** The table's hint is this command: here it says what comes next. */
function load(path: string): LoadedPolicy {
  try {
    return loadPolicy(path)
  } catch (error) {
    if (!isMeshError(error) || error.code !== 'POLICY_INVALID') throw error
    const { message, details } = error
    const hint = 'keys.example/policy.toml explains every key; a node denies every call while its file is broken'
    throw new MeshError('POLICY_INVALID', message, { details, hint, cause: error })
  }
}
