// Controls of the policy stage: the check of commands, rules and tiers, the schema of arguments.

import type { Mutant } from '../mutants.ts'

export const POLICY_MUTANTS: readonly Mutant[] = [
  {
    id: 'CMD-1',
    what: 'a program is listed by its last name, in whatever folder',
    file: 'src/policy/command-check.ts',
    find: 'if (!allow.includes(program)) return',
    replace: 'if (!allow.includes(programName(program))) return'
  },
  {
    id: 'CMD-1',
    what: 'a listed shell needs no word of the policy',
    file: 'src/policy/command-check.ts',
    find: 'SHELLS.has(programName(program)) && !shell ?',
    replace: 'SHELLS.has(programName(program)) && argv.length > 99 ?'
  },
  {
    id: 'CMD-2',
    what: 'clusters of options are not taken apart',
    file: 'src/policy/command-options.ts',
    find: 'if (short.includes(letter)) return true',
    replace: 'if (at === 1 && short.includes(letter)) return true'
  },
  {
    id: 'CMD-2',
    what: 'abbreviated options are not known',
    file: 'src/policy/command-options.ts',
    find: 'long.some((option) => option.startsWith(name))',
    replace: 'long.includes(name)'
  },
  {
    id: 'CMD-2',
    what: 'the script of sed is not read',
    file: 'src/policy/argument-forms.ts',
    find: 'const fault = sedFault(script)',
    replace: 'const fault = script.length > 999 ? sedFault(script) : null'
  },
  {
    id: 'CMD-3',
    what: 'text for a shell is not read',
    file: 'src/policy/command-check.ts',
    find: "if (script.kind === 'text') followText",
    replace: "if (script.kind === 'text' && at.depth > 99) followText"
  },
  {
    id: 'CMD-3',
    what: 'command substitutions are not read',
    file: 'src/policy/shell-lexer.ts',
    find: 'const inner = this.#text.slice(this.#at + 1, end)\n    this.#substitute(inner)',
    replace: 'const inner = this.#text.slice(this.#at + 1, end)'
  },
  {
    id: 'CMD-3',
    what: 'paths are compared as they are spelled',
    file: 'src/policy/destructive-commands.ts',
    find: 'const normal = posix.normalize(path)',
    replace: 'const normal = path'
  },
  {
    id: 'CMD-3',
    what: 'a program that starts another hides it',
    file: 'src/policy/command-check.ts',
    find: 'else if (STARTERS.has(program)) followTails',
    replace: 'else if (at.depth > 99) followTails'
  },
  {
    id: 'CMD-3',
    what: 'text may be piped into a shell',
    file: 'src/policy/destructive-commands.ts',
    find: 'if (piped && ',
    replace: 'if (piped && args.length > 99 && '
  },
  {
    id: 'CMD-4',
    what: 'every device counts as dangerous',
    file: 'src/policy/destructive-commands.ts',
    find: '&& !HARMLESS_DEVICES.test(normal)',
    replace: '&& !HARMLESS_DEVICES.test(path.slice(1))'
  },
  {
    id: 'CMD-4',
    what: 'everything in a home is protected',
    file: 'src/policy/destructive-commands.ts',
    find: 'if (home !== undefined) return ANYTHING.test',
    replace: 'if (home !== undefined) return !/z/.test'
  },
  {
    id: 'CMD-5',
    what: 'only the command tool is checked',
    file: 'src/policy/decide.ts',
    find: 'if (argv === null) return',
    replace: "if (argv === null || kind !== 'command') return"
  },
  {
    id: 'POLICY-1',
    what: 'what no rule names is allowed',
    file: 'src/policy/decide.ts',
    find: "return { decision: 'ask', rule: 'default'",
    replace: "return { decision: 'allow', rule: 'default'"
  },
  {
    id: 'POLICY-1',
    what: 'a question is not asked where a rule allows',
    file: 'src/policy/decide.ts',
    find: "const asking = firstRule(policy, subject, 'ask')",
    replace: "const asking = firstRule(policy, subject, 'allow') === null ? firstRule(policy, subject, 'ask') : null"
  },
  {
    id: 'POLICY-1',
    what: 'an allow is content with one path of several',
    file: 'src/policy/rule-match.ts',
    find: 'values.length > 0 && values.every(matches)',
    replace: 'values.length > 0 && values.some(matches)'
  },
  {
    id: 'POLICY-1',
    what: 'one condition of a rule is enough',
    file: 'src/policy/rule-match.ts',
    find: 'conditions.every((condition)',
    replace: 'conditions.some((condition)'
  },
  {
    id: 'POLICY-1',
    what: 'paths are matched as they are spelled',
    file: 'src/policy/glob.ts',
    find: "pathMatches(segments, normalPath(path).split('/'))",
    replace: "pathMatches(segments, path.split('/'))"
  },
  {
    id: 'POLICY-2',
    what: 'an undeclared tier is internal',
    file: 'src/policy/decide.ts',
    find: "tier ?? 'irreversible'",
    replace: "tier ?? 'internal'"
  },
  {
    id: 'POLICY-2',
    what: 'the classifier lowers',
    file: 'src/policy/decide.ts',
    find: 'if (rank(to) <= rank(classified)) return',
    replace: 'if (rank(to) === rank(classified)) return'
  },
  {
    id: 'POLICY-3',
    what: 'taint changes nothing',
    file: 'src/policy/decide.ts',
    find: 'taint.length === 0 || ',
    replace: 'taint.length < 99 || '
  },
  {
    id: 'POLICY-3',
    what: 'only irreversible calls of a tainted run ask',
    file: 'src/policy/decide.ts',
    find: "rank(subject.tier) < rank('external')",
    replace: "rank(subject.tier) < rank('irreversible')"
  },
  {
    id: 'POLICY-4',
    what: 'read-only lets internal calls through',
    file: 'src/policy/decide.ts',
    find: "subject.tier !== 'read-only'",
    replace: "rank(subject.tier) > rank('internal')"
  },
  {
    id: 'POLICY-4',
    what: 'lines of strings are not counted',
    file: 'src/policy/rule-lines.ts',
    find: "if (text[inner] === '\\n') line++",
    replace: "if (text[inner] === '\\f') line++"
  },
  {
    id: 'POLICY-5',
    what: 'a policy that others can write is read',
    file: 'src/policy/policy-file.ts',
    find: '(stats.mode & 0o022) === 0',
    replace: '(stats.mode & 0o000) === 0'
  },
  {
    id: 'POLICY-5',
    what: 'a link is followed',
    file: 'src/policy/policy-file.ts',
    find: '(constants.O_NOFOLLOW ?? 0)',
    replace: '0'
  },
  {
    id: 'SCHEMA-1',
    what: 'properties that nobody declared pass',
    file: 'src/policy/closed-schema.ts',
    find: 'if (place.isClosed && place.isLevel) this.#shut',
    replace: 'if (place.isClosed && place.depth > 99) this.#shut'
  },
  {
    id: 'SCHEMA-1',
    what: 'remote references are looked up',
    file: 'src/policy/closed-schema.ts',
    find: '!/^#(?:\\/|$)/.test(reference)',
    replace: "reference === ''"
  },
  {
    id: 'SCHEMA-1',
    what: 'the watchdog sleeps',
    file: 'src/policy/argument-schema.ts',
    find: 'timeout: LIMITS.schemaTimeMsMax',
    replace: 'timeout: LIMITS.schemaTimeMsMax * 20'
  },
  {
    id: 'SCHEMA-1',
    what: 'keys that change a prototype pass',
    file: 'src/policy/argument-schema.ts',
    find: "if (key === '__proto__') return '/__proto__'",
    replace: "if (key === '__prototype__') return '/__proto__'"
  },
  {
    id: 'SCHEMA-1',
    what: 'JSON is parsed as JavaScript parses it',
    file: 'src/policy/argument-schema.ts',
    find: 'if (fault !== null) return',
    replace: "if (fault === 'not a JSON object') return"
  },
  {
    id: 'SCHEMA-1',
    what: 'arguments of any size are looked at',
    file: 'src/policy/argument-schema.ts',
    find: 'if (bytes.length > LIMITS.toolInputBytesMax) return',
    replace: 'if (bytes.length > LIMITS.toolInputBytesMax * 99) return'
  },
  {
    id: 'SCHEMA-1',
    what: 'values are made to fit',
    file: 'src/policy/argument-schema.ts',
    find: 'allErrors: false,',
    replace: 'coerceTypes: true,'
  }
]
