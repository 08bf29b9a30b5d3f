// The linter's rules that the project relies on, each shown at work: a bad file is reported under the rule's name, its good twin is not.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { before, test } from 'node:test'

interface Fixture {
  /** The rule as Biome names it in its reports. */
  readonly rule: string
  /** Where the two files lie: rules differ by folder. */
  readonly folder: string
  readonly bad: string
  readonly good: string
  /** Name of the bad file where the name is the fault. */
  readonly badName?: string
  /** A second bad file that the first one needs. */
  readonly partner?: { readonly name: string; readonly text: string }
}

interface Report {
  readonly diagnostics: readonly { category: string; severity: string; location: { path: string | { file: string } } }[]
}

const root = dirname(dirname(import.meta.dirname))
const LAYERS = [
  'base',
  'identity',
  'config',
  'log',
  'store',
  'replication',
  'network',
  'web',
  'guard',
  'policy',
  'pipeline',
  'sandbox',
  'model',
  'tools',
  'task',
  'node',
  'rpc',
  'cli'
]
const IMPORTS = 'lint/style/noRestrictedImports'
const lines = (count: number): string =>
  Array.from({ length: count }, (_, index) => `export const line${index} = ${index}`).join('\n')
const body = (count: number): string =>
  `export function long(): number[] {\n  const all: number[] = []\n${'  all.push(1)\n'.repeat(count)}  return all\n}\n`

/** Each layer against the one below it, and against a package that belongs elsewhere. */
const layerFixtures: Fixture[] = LAYERS.flatMap((layer, index) => {
  const above = LAYERS[index - 1]
  const good = above === undefined ? `export * from './x.ts'\n` : `export * from '../${above}/x.ts'\n`
  const foreign = layer === 'network' ? 'level' : 'libp2p'
  const below = LAYERS.slice(index + 1).map((lower) => ({ bad: `export * from '../${lower}/x.ts'\n`, good }))
  return [...below, { bad: `export * from '${foreign}'\n`, good }].map((pair) => ({
    rule: IMPORTS,
    folder: `src/${layer}`,
    ...pair
  }))
})

/** Every way to write an import, and the packages that one layer alone may use. */
const importFixtures: Fixture[] = [
  {
    folder: 'src/log',
    bad: `import type { X } from '../store/x.ts'\nexport type Y = X\n`,
    good: `import type { X } from '../base/x.ts'\nexport type Y = X\n`
  },
  {
    folder: 'src/log',
    bad: `export const x = await import('../network/x.ts')\n`,
    good: `export const x = await import('../config/x.ts')\n`
  },
  { folder: 'src/log/deep', bad: `export * from '../../store/x.ts'\n`, good: `export * from '../../base/x.ts'\n` },
  {
    folder: 'src/replication',
    bad: `export { createHash } from 'node:crypto'\n`,
    good: `export * from '../log/x.ts'\n`
  },
  { folder: 'src/log', bad: `export { z } from 'zod'\n`, good: `export { createHash } from 'node:crypto'\n` },
  { folder: 'src/log', bad: `export { Level } from 'level'\n`, good: `export { mkdir } from 'node:fs/promises'\n` },
  { folder: 'src/store', bad: `export * from '@noble/ed25519'\n`, good: `export { Level } from 'level'\n` },
  { folder: 'src/identity', bad: `export { z } from 'zod'\n`, good: `export * from '@noble/ed25519'\n` },
  { folder: 'src/rpc', bad: `export { parse } from 'smol-toml'\n`, good: `export { z } from 'zod'\n` },
  { folder: 'src/node', bad: `export { Command } from 'commander'\n`, good: `export * from '../network/x.ts'\n` },
  { folder: 'src/guard', bad: `export { generateText } from 'ai'\n`, good: `export { join } from 'node:path'\n` },
  {
    folder: 'src/pipeline/stages',
    bad: `export * from '../../tools/x.ts'\n`,
    good: `export * from '../../policy/x.ts'\n`
  },
  { folder: 'src/tools', bad: `export { fetch } from 'undici'\n`, good: `export * from '../web/x.ts'\n` },
  { folder: 'src/network', bad: `export { Command } from 'commander'\n`, good: `export { tcp } from '@libp2p/tcp'\n` },
  {
    folder: 'src/cli/commands',
    bad: `export const x = await import('../../node/create-node.ts')\n`,
    good: `export * from '../../rpc/client.ts'\n`
  }
].map((fixture) => ({ rule: IMPORTS, ...fixture }))

const ruleFixtures: Fixture[] = [
  {
    rule: 'plugin',
    folder: 'src/cli/commands',
    badName: 'demo.ts',
    bad: `export * from './x.ts'\nimport { node } from '../../node/create-node.ts'\nexport const n = node\n`,
    good: `import type { Node } from '../../node/create-node.ts'\nexport type N = Node\n`
  },
  {
    rule: 'lint/suspicious/noExplicitAny',
    folder: 'src/base',
    bad: 'export const x: any = 1\n',
    good: 'export const x: unknown = 1\n'
  },
  {
    rule: 'lint/nursery/noFloatingPromises',
    folder: 'src/base',
    bad: 'async function act(): Promise<void> {}\nexport function run(): void {\n  act()\n}\n',
    good: 'async function act(): Promise<void> {}\nexport async function run(): Promise<void> {\n  await act()\n}\n'
  },
  {
    rule: 'lint/nursery/noMisusedPromises',
    folder: 'src/base',
    bad: 'async function is(): Promise<boolean> {\n  return true\n}\nexport function run(): number {\n  if (is()) return 1\n  return 2\n}\n',
    good: 'async function is(): Promise<boolean> {\n  return true\n}\nexport async function run(): Promise<number> {\n  if (await is()) return 1\n  return 2\n}\n'
  },
  { rule: 'lint/complexity/noExcessiveLinesPerFunction', folder: 'src/base', bad: body(70), good: body(60) },
  { rule: 'lint/style/noExcessiveLinesPerFile', folder: 'src/base', bad: lines(401), good: lines(400) },
  {
    rule: 'lint/style/useFilenamingConvention',
    folder: 'src/base',
    badName: 'badName.ts',
    bad: 'export const x = 1\n',
    good: 'export const x = 1\n'
  },
  {
    rule: 'lint/correctness/noUnusedVariables',
    folder: 'src/base',
    bad: 'const x = 1\nexport const y = 2\n',
    good: 'const x = 1\nexport const y = x\n'
  },
  {
    rule: 'lint/correctness/noUnusedImports',
    folder: 'src/base',
    bad: `import { x } from './x.ts'\nexport const y = 2\n`,
    good: `import { x } from './x.ts'\nexport const y = x\n`
  },
  {
    rule: 'lint/correctness/noUnusedFunctionParameters',
    folder: 'src/base',
    bad: 'export const f = (x: number): number => 1\n',
    good: 'export const f = (_x: number): number => 1\n'
  },
  {
    rule: 'lint/correctness/noUnusedPrivateClassMembers',
    folder: 'src/base',
    bad: 'export class A {\n  #x = 1\n}\n',
    good: 'export class A {\n  #x = 1\n  get x(): number {\n    return this.#x\n  }\n}\n'
  },
  {
    rule: 'lint/correctness/noUndeclaredDependencies',
    folder: 'test/base',
    bad: `export * from 'left-pad'\n`,
    good: `export * from 'zod'\n`
  },
  { rule: 'lint/style/noDefaultExport', folder: 'src/base', bad: 'export default 1\n', good: 'export const one = 1\n' },
  {
    rule: 'lint/style/noEnum',
    folder: 'src/base',
    bad: 'export enum E {\n  A = 1\n}\n',
    good: `export type E = 'a'\n`
  },
  {
    rule: 'lint/style/noNamespace',
    folder: 'src/base',
    bad: 'export namespace N {\n  export const x = 1\n}\n',
    good: 'export const x = 1\n'
  },
  {
    rule: 'lint/style/noParameterAssign',
    folder: 'src/base',
    bad: 'export function f(x: number): number {\n  x = 2\n  return x\n}\n',
    good: 'export function f(x: number): number {\n  return x\n}\n'
  },
  {
    rule: 'lint/style/noParameterProperties',
    folder: 'src/base',
    bad: 'export class A {\n  constructor(readonly x: number) {}\n}\n',
    good: 'export class A {\n  readonly x: number\n  constructor(x: number) {\n    this.x = x\n  }\n}\n'
  },
  {
    rule: 'lint/style/useImportType',
    folder: 'src/base',
    bad: `import { X } from './x.ts'\nexport type Y = X\n`,
    good: `import type { X } from './x.ts'\nexport type Y = X\n`
  },
  {
    rule: 'lint/style/useNodejsImportProtocol',
    folder: 'src/base',
    bad: `export { join } from 'path'\n`,
    good: `export { join } from 'node:path'\n`
  },
  {
    rule: 'lint/style/useThrowOnlyError',
    folder: 'src/base',
    bad: `export function f(): never {\n  throw 'text'\n}\n`,
    good: `export function f(): never {\n  throw new Error('text')\n}\n`
  },
  {
    rule: 'lint/suspicious/noConsole',
    folder: 'src/base',
    bad: `console.log('x')\nexport const x = 1\n`,
    good: 'export const x = 1\n'
  },
  {
    rule: 'lint/suspicious/noEmptyBlockStatements',
    folder: 'src/base',
    bad: 'export function f(): void {\n  try {\n    g()\n  } catch {}\n}\nfunction g(): void {\n  throw new Error()\n}\n',
    good: 'export const x = 1\n'
  },
  {
    rule: 'lint/suspicious/noFocusedTests',
    folder: 'test/base',
    bad: `import { test } from 'node:test'\ntest.only('x', () => undefined)\n`,
    good: `import { test } from 'node:test'\ntest('x', () => undefined)\n`
  },
  {
    rule: 'lint/suspicious/noSkippedTests',
    folder: 'test/base',
    bad: `import { test } from 'node:test'\ntest.skip('x', () => undefined)\n`,
    good: `import { test } from 'node:test'\ntest('x', () => undefined)\n`
  },
  {
    rule: 'lint/suspicious/noImportCycles',
    folder: 'src/base',
    badName: 'hen.ts',
    bad: `export * from './egg.ts'\nexport const hen = 1\n`,
    partner: { name: 'egg.ts', text: `export * from './hen.ts'\nexport const egg = 1\n` },
    good: `export * from './x.ts'\n`
  },
  {
    rule: 'lint/suspicious/noTsIgnore',
    folder: 'src/base',
    bad: `// @ts-ignore\nexport const x: number = 'x'\n`,
    good: 'export const x = 1\n'
  },
  { rule: 'lint/suspicious/noVar', folder: 'src/base', bad: 'export var x = 1\n', good: 'export const x = 1\n' }
]

const FIXTURES = [...layerFixtures, ...importFixtures, ...ruleFixtures].map((fixture, index) => ({
  ...fixture,
  badPath: `${fixture.folder}/${fixture.badName ?? `bad-${index}.ts`}`,
  goodPath: `${fixture.folder}/good-${index}.ts`
}))

/** Rules reported at error, per file. */
let reported: Map<string, Set<string>>

async function lint(folder: string): Promise<Map<string, Set<string>>> {
  const binary = join(root, 'node_modules', '.bin', 'biome')
  const args = ['lint', '--reporter=json', '--max-diagnostics=none', '--diagnostic-level=error', folder]
  const output = await new Promise<string>((resolve) => {
    execFile(binary, args, { cwd: folder, maxBuffer: 64 * 1024 * 1024, timeout: 60_000 }, (_error, stdout) =>
      resolve(stdout)
    )
  })
  const report: Report = JSON.parse(output)
  const found = new Map<string, Set<string>>()
  for (const { category, severity, location } of report.diagnostics) {
    const path = typeof location.path === 'string' ? location.path : location.path.file
    const rules = found.get(path) ?? new Set()
    if (severity === 'error') rules.add(category)
    found.set(path, rules)
  }
  return found
}

before(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pmesh-lint-'))
  try {
    await cp(join(root, 'biome.json'), join(folder, 'biome.json'))
    await cp(join(root, 'package.json'), join(folder, 'package.json'))
    await cp(join(root, 'scripts', 'lint'), join(folder, 'scripts', 'lint'), { recursive: true })
    for (const { badPath, bad, goodPath, good, partner } of FIXTURES) {
      await mkdir(join(folder, dirname(badPath)), { recursive: true })
      await writeFile(join(folder, badPath), bad)
      await writeFile(join(folder, goodPath), good)
      if (partner) await writeFile(join(folder, dirname(badPath), partner.name), partner.text)
    }
    reported = await lint(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

for (const { rule, badPath, goodPath, bad } of FIXTURES) {
  test(`the linter reports ${rule} in ${badPath.replace(/\/[^/]*$/, '')}: ${bad.split('\n')[0]}`, () => {
    assert.ok(reported.get(badPath)?.has(rule), `reported: ${[...(reported.get(badPath) ?? [])].join(', ')}`)
    assert.ok(!reported.get(goodPath)?.has(rule), `the good twin is reported under ${rule}`)
  })
}

test('every folder of src/ has its layer: what it may import is written down', async () => {
  const { overrides }: { overrides: { includes: string[]; linter: { rules: { style?: object } } }[] } = JSON.parse(
    await readFile(join(root, 'biome.json'), 'utf8')
  )
  const layered = overrides.filter(({ linter }) => linter.rules.style && 'noRestrictedImports' in linter.rules.style)
  const folders = layered.flatMap(({ includes }) => includes)
  const entries = await readdir(join(root, 'src'), { withFileTypes: true })
  for (const entry of entries) {
    assert.ok(entry.isDirectory(), `src/${entry.name} lies in a layer`)
    assert.ok(folders.includes(`src/${entry.name}/**`), `src/${entry.name} has a layer in biome.json`)
  }
})
