// Controls of the question that a person answers, and of the scopes that answer it.

import type { Mutant } from '../mutants.ts'

export const RUN_CLI_MUTANTS: readonly Mutant[] = [
  {
    id: 'APPROVE-6',
    what: 'Enter alone approves',
    file: 'src/cli/approval-asker.ts',
    find: "word === 'yes' || word === 'approve'",
    replace: "word === '' || word === 'yes' || word === 'approve'"
  },
  {
    id: 'APPROVE-6',
    what: 'what was typed ahead answers',
    file: 'src/cli/line-question.ts',
    find: '  await discardTyped(context, stdin)\n',
    replace: '  void discardTyped\n'
  },
  {
    id: 'APPROVE-6',
    what: 'a word without its Enter counts when the terminal goes away',
    file: 'src/cli/line-question.ts',
    find: "  stdin.once('end', give)\n",
    replace: ''
  },
  {
    id: 'APPROVE-6',
    what: 'an approval without a terminal needs no word',
    file: 'src/cli/commands/approval-approve.ts',
    find: 'if (options.yes !== true && !context.canAsk)',
    replace: 'if (options.yes !== true && context.signal.aborted)'
  },
  {
    id: 'APPROVE-6',
    what: 'long arguments are cut',
    file: 'src/cli/approval-screen.ts',
    find: 'indentJson(approval.arguments)',
    replace: 'indentJson(approval.arguments.slice(0, 2_000))'
  },
  {
    id: 'APPROVE-6',
    what: 'numbers are shown as they are parsed',
    file: 'src/cli/exact-json.ts',
    find: "line += token === ':' ? ': ' : token",
    replace: "line += token === ':' ? ': ' : /^-?\\d/.test(token) ? String(Number(token)) : token"
  },
  {
    id: 'APPROVE-6',
    what: 'what nobody sees is not shown',
    file: 'src/cli/escape-text.ts',
    find: 'replaceAll(UNSEEN,',
    replace: 'replaceAll(/(?!)/gu,'
  },
  {
    id: 'APPROVE-6',
    what: 'arguments can look like the facts beside them',
    file: 'src/cli/approval-screen.ts',
    find: "const BAR = '  │ '",
    replace: "const BAR = ''"
  },
  {
    id: 'APPROVE-1',
    what: 'the recomputed digest is not compared',
    file: 'src/cli/approval-screen.ts',
    find: 'if (digest === recomputedDigest && expected === digest) return',
    replace: 'if (expected === digest || digest !== recomputedDigest) return'
  },
  {
    id: 'APPROVE-1',
    what: 'the digest that the person names is not compared',
    file: 'src/cli/approval-screen.ts',
    find: '&& expected === digest) return',
    replace: ') return'
  },
  {
    id: 'APPROVE-1',
    what: 'an inline yes is not held to the digest',
    file: 'src/cli/approval-asker.ts',
    find: "if (answer === 'approve') checkDigest(approval)",
    replace: "if (answer === 'deny') checkDigest(approval)"
  },
  {
    id: 'SCOPE-1',
    what: 'operators answer requests',
    file: 'src/rpc/methods-run.ts',
    find: "scope: 'approve'",
    replace: "scope: 'operator'"
  },
  {
    id: 'TOOL-2',
    what: 'a tool is replaced without being told to',
    file: 'src/cli/commands/tool-register.ts',
    find: 'replace: options.replace === true',
    replace: 'replace: true'
  }
]
