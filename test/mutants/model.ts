// Controls of models, judges and the agent loop.

import type { Mutant } from '../mutants.ts'

export const MODEL_MUTANTS: readonly Mutant[] = [
  {
    id: 'ID-9',
    what: 'the server’s words leave with the credential in them',
    file: 'src/model/model-fault.ts',
    find: 'secret === null ? error.message : error.message.replaceAll',
    replace: "secret !== '' ? error.message : error.message.replaceAll"
  },
  {
    id: 'PRIVATE-1',
    what: 'the SDK’s own address is used: the environment’s, or the provider’s default',
    file: 'src/model/provider-model.ts',
    find: 'createAnthropic({ name, baseURL, apiKey, fetch })',
    replace: 'createAnthropic({ name, apiKey, fetch })'
  },
  {
    id: 'SSRF-4',
    what: 'model servers are reached beside the guard',
    file: 'src/model/provider-model.ts',
    find: 'const fetch = boundedFetch(options.fetch, ',
    replace: 'const fetch = boundedFetch(globalThis.fetch, '
  },
  {
    id: 'JUDGE-1',
    what: 'one judge is asked, whatever the tier needs',
    file: 'src/model/judge-panel.ts',
    find: 'configured.slice(0, needed)',
    replace: 'configured.slice(0, 1)'
  },
  {
    id: 'JUDGE-1',
    what: 'the majority decides',
    file: 'src/model/judge-panel.ts',
    find: "if (votes.some(({ verdict }) => verdict === 'unsafe'))",
    replace: "if (votes.filter(({ verdict }) => verdict === 'unsafe').length * 2 > votes.length)"
  },
  {
    id: 'JUDGE-1',
    what: 'a veto of little confidence does not count',
    file: 'src/model/judge-panel.ts',
    find: 'const given = calls || reason',
    replace: "const given = text.includes('0.01') ? tryParseVerdict(text.replace('unsafe', 'safe')) : calls || reason"
  },
  {
    id: 'JUDGE-2',
    what: 'a verdict in prose is picked out',
    file: 'src/model/judge-verdict.ts',
    find: 'tryParseJsonObject(utf8(text.trim()))',
    replace: "tryParseJsonObject(utf8(/[{][^}]*[}]/.exec(text)?.[0] ?? ''))"
  },
  {
    id: 'JUDGE-2',
    what: 'a verdict may have other members, or lack some',
    file: 'src/model/judge-verdict.ts',
    find: "const verdict = z.strictObject({\n  verdict: z.enum(['safe', 'unsafe']),",
    replace: "const verdict = z.object({\n  verdict: z.enum(['safe', 'unsafe']),"
  },
  {
    id: 'JUDGE-2',
    what: 'confidence may be any number',
    file: 'src/model/judge-verdict.ts',
    find: 'confidence: z.number().min(0).max(1),',
    replace: 'confidence: z.number(),'
  },
  {
    id: 'JUDGE-2',
    what: 'a cut answer, or one that wants calls, is a verdict',
    file: 'src/model/judge-panel.ts',
    find: "calls || reason !== 'stop' ? null : tryParseVerdict(text)",
    replace: 'tryParseVerdict(text)'
  },
  {
    id: 'JUDGE-2',
    what: 'a judge without a verdict is passed over',
    file: 'src/model/judge-panel.ts',
    find: 'if (fault !== undefined || cancelled !== undefined)',
    replace: 'if (fault === undefined && cancelled !== undefined)'
  },
  {
    id: 'JUDGE-3',
    what: 'as many judges as there are will do',
    file: 'src/model/judge-panel.ts',
    find: "if (configured.length + (offlineCounts ? 1 : 0) < needed) return blocked('too-few-judges', [first])",
    replace: ''
  },
  {
    id: 'JUDGE-3',
    what: 'two votes of one judge are two judges',
    file: 'src/model/judge-panel.ts',
    find: 'new Set(counting.map(({ judge }) => judge))',
    replace: 'new Set(counting.map(({ judge, member }) => judge + member))'
  },
  {
    id: 'JUDGE-3',
    what: 'calls of the day are not limited',
    file: 'src/model/daily-budget.ts',
    find: 'spent.calls >= callsPerDay',
    replace: 'spent.calls < 0'
  },
  {
    id: 'JUDGE-3',
    what: 'money of the day is not limited',
    file: 'src/model/daily-budget.ts',
    find: 'spent.micros >= microsPerDay',
    replace: 'spent.micros < 0'
  },
  {
    id: 'JUDGE-3',
    what: 'a restart forgets what was spent',
    file: 'src/model/daily-budget.ts',
    find: 'let state = tryParse(store.get())',
    replace: 'let state = tryParse(null)'
  },
  {
    id: 'JUDGE-3',
    what: 'a clock that goes back begins a new day',
    file: 'src/model/daily-budget.ts',
    find: 'day > state.day) state =',
    replace: 'day !== state.day) state ='
  },
  {
    id: 'JUDGE-3',
    what: 'the count is not on disk before the call',
    file: 'src/model/daily-budget.ts',
    find: '      spent.calls++\n      await save()',
    replace: '      spent.calls++\n      save().catch(() => undefined)'
  },
  {
    id: 'JUDGE-4',
    what: 'the fence can be guessed',
    file: 'src/model/judge-verdict.ts',
    find: 'const nonce = toHex(random.bytes(16))',
    replace: "const nonce = '0'.repeat(random.bytes(16).length * 2)"
  },
  {
    id: 'JUDGE-4',
    what: 'forged verdicts are not looked for',
    file: 'src/model/offline-judge.ts',
    find: "FORGED_VERDICT.test(text.normalize('NFKC'))",
    replace: "FORGED_VERDICT.test('')"
  },
  {
    id: 'JUDGE-5',
    what: 'a judge that does not heed its signal is waited for',
    file: 'src/model/judge-panel.ts',
    find: 'return await orAborted(asked, ends)',
    replace: 'return await (ends.aborted ? orAborted(asked, ends) : asked)'
  },
  {
    id: 'JUDGE-5',
    what: 'a veto lets its siblings go on',
    file: 'src/model/judge-panel.ts',
    find: "if (vote.verdict !== 'safe') veto.abort()",
    replace: "if (vote.verdict === 'invalid') veto.abort()"
  },
  {
    id: 'JUDGE-5',
    what: 'judges in flight are not limited',
    file: 'src/model/judge-slots.ts',
    find: 'if (this.#taken < this.#most)',
    replace: 'if (this.#taken < 1000 * this.#most)'
  },
  {
    id: 'JUDGE-6',
    what: 'the offline judge does not say that it is one',
    file: 'src/model/judge-panel.ts',
    find: 'judge: OFFLINE_NAME, offline: true',
    replace: 'judge: OFFLINE_NAME, offline: false'
  },
  {
    id: 'JUDGE-6',
    what: 'the offline judge lets secrets pass',
    file: 'src/model/offline-judge.ts',
    find: 'redact(text) !== text',
    replace: 'redact(text).length < 0'
  },
  {
    id: 'JUDGE-6',
    what: 'a rule that throws is kept',
    file: 'src/model/offline-judge.ts',
    find: '    // GUARD-4: a rule that cannot tell is a veto\n    return true',
    replace: '    return false'
  },
  {
    id: 'JUDGE-6',
    what: 'models are asked before the offline judge has looked',
    file: 'src/model/judge-panel.ts',
    find: "if (first.verdict !== 'safe') return blocked('unsafe', [first])",
    replace: ''
  },
  {
    id: 'JUDGE-7',
    what: 'a vote for another member counts',
    file: 'src/model/judge-panel.ts',
    find: 'vote.member === seat.member && vote.confidence',
    replace: 'vote.confidence'
  },
  {
    id: 'JUDGE-7',
    what: 'members are not asked',
    file: 'src/model/judge-panel.ts',
    find: '...[...new Set(members)].map(',
    replace: '...[...new Set(members)].slice(1).map('
  },
  {
    id: 'GUARD-1',
    what: 'an agent’s answer passes as the model wrote it',
    file: 'src/task/agent-loop.ts',
    find: "if (answer === null) return this.#end('blocked', 'answer-blocked')",
    replace: "if (answer === null) return this.#end('done', 'answered', text)"
  },
  {
    id: 'GUARD-1',
    what: 'live text is shown before it was looked at',
    file: 'src/task/agent-loop.ts',
    find: '    this.text += piece\n',
    replace: '    this.text += piece\n    this.#run.onText(piece)\n'
  },
  {
    id: 'REPLAY-2',
    what: 'a resumed run forgets its messages',
    file: 'src/task/agent-transcript.ts',
    find: '...messages.map((message) => told(message, run.recorded))]',
    replace: '...messages.slice(0, 2).map((message) => told(message, run.recorded))]'
  },
  {
    id: 'REPLAY-2',
    what: 'a resumed run writes over its messages',
    file: 'src/task/agent-transcript.ts',
    find: 'this.#nextIndex = started === null ? 0 :',
    replace: 'this.#nextIndex = started !== null ? 0 :'
  }
]
