// calc: exact arithmetic without any effect, the one tool that nothing has to be believed of.

import { z } from 'zod'
import { LIMITS } from '../base/limits.ts'
import type { Tool } from '../pipeline/contract.ts'
import { builtinTool } from './builtin-tool.ts'
import { evaluateExpression } from './calc-expression.ts'
import { formatFraction } from './calc-number.ts'

/** The tool `calc`: `{expression}` to its value as decimal text; a quotient that does not end has 40 significant digits and `…`. */
export function createCalcTool(): Tool {
  return builtinTool({
    name: 'calc',
    version: 1,
    description:
      'Exact arithmetic on whole numbers and decimals: + - * / % ** and parentheses, with the precedence of Python. No names, no functions.',
    arguments: z.strictObject({ expression: z.string().min(1).max(LIMITS.calcTextMax) }),
    tier: 'read-only',
    taints: null,
    usesWorkspace: false,
    async run({ expression }) {
      return { output: formatFraction(evaluateExpression(expression)) }
    }
  })
}
