// The A list: what a hostile program tries, and what the host finds afterwards. Every case is one call of the tool.

import type { CommandCase } from './command-case.ts'
import { diskCases, plantCases, readCases } from './command-cases-files.ts'
import { kernelCases, networkCases, processCases } from './command-cases-system.ts'

export const COMMAND_CASES: readonly CommandCase[] = [
  ...readCases,
  ...networkCases,
  ...processCases,
  ...diskCases,
  ...kernelCases,
  ...plantCases
]
