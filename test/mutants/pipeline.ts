// Controls of the five stages, of what is recorded, and of replays.

import type { Mutant } from '../mutants.ts'

export const PIPELINE_MUTANTS: readonly Mutant[] = [
  {
    id: 'GUARD-1',
    what: 'the text as it was given goes on',
    file: 'src/pipeline/stages/guardrail.ts',
    find: 'argumentText: verdict.text, argumentBytes: utf8(verdict.text)',
    replace: 'argumentText: given, argumentBytes: utf8(given)'
  },
  {
    id: 'GUARD-4',
    what: 'a stage that throws passes',
    file: 'src/pipeline/run-session.ts',
    find: 'if (this.journal.failed || stopsQuietly(error)) throw error',
    replace: 'throw error'
  },
  {
    id: 'GUARD-5',
    what: 'arguments are not looked at',
    file: 'src/pipeline/stages/guardrail.ts',
    find: "if (verdict.action === 'block') return stopped('blocked', {",
    replace: "if (verdict.text === '\\0') return stopped('blocked', {"
  },
  {
    id: 'GUARD-5',
    what: 'results are not looked at',
    file: 'src/pipeline/stages/judge.ts',
    find: "if (guarded.action === 'block') {",
    replace: "if (guarded.text === '\\0') {"
  },
  {
    id: 'GUARD-5',
    what: 'descriptions are not looked at',
    file: 'src/pipeline/stages/guardrail.ts',
    find: 'if (!descriptor.descriptionUntrusted) return null',
    replace: 'if (descriptor.name !== null) return null'
  },
  {
    id: 'POLICY-1',
    what: 'what asks runs unasked',
    file: 'src/pipeline/stages/approval.ts',
    find: "if (ruling.decision === 'allow') {",
    replace: "if (ruling.decision !== 'deny') {"
  },
  {
    id: 'POLICY-2',
    what: 'the tier of the task is no limit',
    file: 'src/pipeline/stages/policy.ts',
    find: 'if (above(ruling.tier, run.start.tierMax)) {',
    replace: "if (above(ruling.tier, 'irreversible')) {"
  },
  {
    id: 'POLICY-3',
    what: 'results taint nothing',
    file: 'src/pipeline/run-session.ts',
    find: 'if (!trusted) this.#taint.add(taint)',
    replace: 'if (trusted) this.#taint.add(taint)'
  },
  {
    id: 'POLICY-3',
    what: 'every submitter is trusted',
    file: 'src/pipeline/run-session.ts',
    find: "start.taint.filter((taint) => taint !== 'peer' || !this.#trustsSubmitter())",
    replace: "start.taint.filter((taint) => taint !== 'peer' || this.#trustsSubmitter() === null)"
  },
  {
    id: 'CMD-6',
    what: 'the record of a denied call does not name the rule',
    file: 'src/pipeline/stages/policy.ts',
    find: "if (ruling.decision === 'deny') return stopped('denied', facts)",
    replace: "if (ruling.decision === 'deny') return stopped('denied', { ...facts, rule: 'denied' })"
  },
  {
    id: 'SCHEMA-1',
    what: 'arguments that do not fit go on',
    file: 'src/pipeline/stages/policy.ts',
    find: 'if (!checked.ok)',
    replace: 'if (!checked.ok && checked.pointer === null)'
  },
  {
    id: 'APPROVE-1',
    what: 'a tool that was exchanged since the approval runs',
    file: 'src/pipeline/stages/tool.ts',
    find: 'present.descriptor.hash !== tool.descriptor.hash ||',
    replace: ''
  },
  {
    id: 'APPROVE-1',
    what: 'the digest leaves the arguments out',
    file: 'src/pipeline/call-digest.ts',
    find: '.update(sized(call.argumentBytes))',
    replace: '.update(sized(new Uint8Array(0)))'
  },
  {
    id: 'APPROVE-1',
    what: 'fields of the digest run into each other',
    file: 'src/pipeline/call-digest.ts',
    find: 'return Buffer.concat([length, bytes])',
    replace: 'return Buffer.from(bytes)'
  },
  {
    id: 'APPROVE-2',
    what: 'an approval has no end',
    file: 'src/pipeline/stages/tool.ts',
    find: 'run.ports.clock.now() >= request.expiresAtMs',
    replace: 'run.ports.clock.now() >= Number.POSITIVE_INFINITY'
  },
  {
    id: 'APPROVE-2',
    what: 'an open request is asked again after a restart',
    file: 'src/pipeline/stages/approval.ts',
    find: 'openRequest(run, call) ?? (await ask(run, call))',
    replace: 'await ask(run, call)'
  },
  {
    id: 'APPROVE-4',
    what: 'a call that was begun is begun again',
    file: 'src/pipeline/run-session.ts',
    find: 'if (started === null) return null',
    replace: 'if (started !== undefined) return null'
  },
  {
    id: 'APPROVE-4',
    what: 'an outside effect needs no confirmed log',
    file: 'src/pipeline/stages/tool.ts',
    find: '!run.ports.mayAffectOutside()',
    replace: 'run.ports.mayAffectOutside() === null'
  },
  {
    id: 'APPROVE-4',
    what: 'an effect whose result cannot be put down reads denied',
    file: 'src/pipeline/stages/tool.ts',
    find: 'if (run.journal.failed) throw error',
    replace: 'if (run.journal !== null) throw error'
  },
  {
    id: 'APPROVE-6',
    what: 'tool-started is written with the result',
    file: 'src/pipeline/stages/tool.ts',
    find: '  await run.journal.flush()\n\n',
    replace: '\n'
  },
  {
    id: 'AUDIT-2',
    what: 'a record that fails is forgotten',
    file: 'src/pipeline/run-journal.ts',
    find: '      this.#failure = error\n      throw error',
    replace: "      last = '0'.repeat(64) + String(error).slice(0, 0)"
  },
  {
    id: 'AUDIT-1',
    what: 'the audit line is not masked',
    file: 'src/pipeline/run-session.ts',
    find: 'arguments: cut(redactSecrets(input.argumentText))',
    replace: 'arguments: cut(input.argumentText)'
  },
  {
    id: 'JUDGE-3',
    what: 'the panel’s word is enough',
    file: 'src/pipeline/stages/judge.ts',
    find: "return verdict.verdict === 'safe' && safe.length >= judges &&",
    replace: "return verdict.verdict === 'safe' || (safe.length >= judges &&"
  },
  {
    id: 'SANDBOX-2',
    what: 'a tool that does not end is waited for',
    file: 'src/pipeline/stages/tool.ts',
    find: 'limits.timeMs + LIMITS.toolGraceMs',
    replace: '2 ** 30'
  },
  {
    id: 'SANDBOX-3',
    what: 'output is not cut',
    file: 'src/pipeline/stages/tool.ts',
    find: 'if (outcome.output.length <= outputBytes) return checked',
    replace: 'if (outcome.output.length >= 0) return checked'
  },
  {
    id: 'TRACK-1',
    what: 'changes are not recorded',
    file: 'src/pipeline/run-session.ts',
    find: "this.journal.note('file-changed', {",
    replace: "if (part < 0) this.journal.note('file-changed', {"
  },
  {
    id: 'REPLAY-1',
    what: 'the rules are taken at their recorded word',
    file: 'src/pipeline/replay.ts',
    find: 'const ruling = ports.parsePolicy(text).decide(request)',
    replace:
      'const ruling = decided === null ? ports.parsePolicy(text).decide(request) : { decision: decided.verdict, rule: decided.rule }'
  },
  {
    id: 'REPLAY-2',
    what: 'a run is begun anew whatever it recorded',
    file: 'src/pipeline/run-session.ts',
    find: 'return this.recorded.calls.get(call) ?? null',
    replace: 'return this.recorded.calls.get(call - 1_000) ?? null'
  }
]
