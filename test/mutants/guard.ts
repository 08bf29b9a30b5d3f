// Controls of the pattern layer, of JSON and of streams.

import type { Mutant } from '../mutants.ts'

export const GUARD_MUTANTS: readonly Mutant[] = [
  {
    id: 'GUARD-3',
    what: 'look-alikes are not folded',
    file: 'src/guard/normalise.ts',
    find: 'if (this.#wordNeedsFold && (',
    replace: 'if (this.#units.length < 0 && ('
  },
  {
    id: 'GUARD-3',
    what: 'readings and encodings are not looked at',
    file: 'src/guard/text-forms.ts',
    find: 'if (layers === 0) return',
    replace: 'if (layers >= 0) return'
  },
  {
    id: 'GUARD-3',
    what: 'an attack in disguise counts for the owner like an open one',
    file: 'src/guard/pattern-guard.ts',
    find: 'hidden ? DISGUISED_SCORE : 0',
    replace: 'hidden ? BLOCK_AT : 0'
  },
  {
    id: 'GUARD-3',
    what: 'only the first window of a large text is looked at',
    file: 'src/guard/pattern-guard.ts',
    find: 'start === 0 || start + OVERLAP_UNITS < text.length',
    replace: 'start === 0'
  },
  {
    id: 'GUARD-4',
    what: 'a guard that throws passes',
    file: 'src/guard/fail-closed.ts',
    find: "return blockVerdict(text, 'guard-failed', error instanceof Error ? error.name : 'throw')",
    replace: "return { action: 'pass', text, score: 0, findings: error instanceof Error ? [] : [] }"
  },
  {
    id: 'GUARD-4',
    what: 'verdicts are not checked',
    file: 'src/guard/fail-closed.ts',
    find: 'isSound(verdict, text) ? verdict',
    replace: 'isSound(verdict, text) || text !== null ? verdict'
  },
  {
    id: 'GUARD-5',
    what: 'a stream remembers nothing and holds nothing back',
    file: 'src/guard/guard-stream.ts',
    find: 'const HELD_UNITS = 512',
    replace: 'const HELD_UNITS = 0'
  },
  {
    id: 'GUARD-5',
    what: 'strings of a JSON text are only looked at alone',
    file: 'src/guard/guard-json.ts',
    find: "if (together.action === 'block') return wholeText(together, jsonText)",
    replace: ''
  },
  {
    id: 'GUARD-5',
    what: 'keys that become equal are accepted',
    file: 'src/guard/guard-json.ts',
    find: 'countKeys(JSON.parse(changed)) !== countKeys(JSON.parse(jsonText))',
    replace: 'countKeys(JSON.parse(changed)) > countKeys(JSON.parse(jsonText))'
  },
  {
    id: 'GUARD-6',
    what: 'a pattern with nested repetition',
    file: 'src/guard/structure-patterns.ts',
    find: "anywhere('<start_of_turn>",
    replace: "anywhere('(?:<s>[^<]*)*<<sys>>'), anywhere('<start_of_turn>"
  },
  {
    id: 'GUARD-6',
    what: 'every match is compared with every chain before it',
    file: 'src/guard/pattern.ts',
    find: '  for (const span of spans) {',
    replace: '  for (const span of spans) {\n    next = 0'
  }
]
