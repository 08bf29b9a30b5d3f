// `npm run docs`: writes the pages that are made from data. check-docs.mjs compares them with what is in the tree.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ERRORS } from '../src/base/errors.ts'
import { LIMITS } from '../src/base/limits.ts'
import { requirementsPage } from './requirements-doc.mjs'

const root = dirname(import.meta.dirname)
const EXITS = {
  0: 'done',
  1: 'failed',
  2: 'usage',
  10: 'node not running',
  11: 'locked, wrong passphrase',
  12: 'denied by policy or person',
  13: 'waits for approval, or for recovery',
  14: 'verification failed',
  15: 'timed out',
  130: 'cancelled'
}
const row = (...cells) => `| ${cells.join(' | ')} |`
const cell = (text) => text.replaceAll('|', '\\|')

function errorsPage() {
  const areas = Map.groupBy(Object.entries(ERRORS), ([code]) => (code.includes('_') ? code.split('_')[0] : 'General'))
  const sections = [...areas].map(([area, errors]) => {
    const rows = errors.map(([code, info]) => row(`\`${code}\``, info.exit, info.rpc, cell(info.hint)))
    return [`## ${area}`, '', row('code', 'exit', 'RPC', 'what to do'), row('---', '---', '---', '---'), ...rows].join(
      '\n'
    )
  })
  return `# Errors

Made by \`npm run docs\` from \`src/base/errors.ts\`. Codes, exit codes and RPC codes are promises: they are only added to.
A remote party gets the code only; the person at this machine gets the message, the hint and the cause.

## Exit codes

| exit | meaning |
| --- | --- |
${Object.entries(EXITS)
  .map(([exit, meaning]) => row(exit, meaning))
  .join('\n')}

${sections.join('\n\n')}
`
}

/** `65 536 · 64 KiB`, `60 000 · 60 s`: the number and, where the name has a unit, how a person would say it. */
function readable(name, value) {
  const digits = String(value).replace(/\B(?=(\d{3})+$)/g, ' ')
  if (/Bytes/.test(name) && value >= 1024 && value % 1024 === 0) {
    return `${digits} · ${value % 1_048_576 === 0 ? `${value / 1_048_576} MiB` : `${value / 1024} KiB`}`
  }
  if (/Ms/.test(name) && value >= 86_400_000) return `${digits} · ${value / 86_400_000} days`
  if (/Ms/.test(name) && value >= 1000) return `${digits} · ${value / 1000} s`
  return digits
}

function limitsPage() {
  const source = readFileSync(join(root, 'src', 'base', 'limits.ts'), 'utf8')
  // A comment covers the limits right below it.
  let comment
  const comments = new Map()
  for (const [, text, name, end] of source.matchAll(/\/\*\* (.*?) \*\/|^ {2}(\w+):|^(\s*)$/gms)) {
    if (text !== undefined) comment = text
    else if (name !== undefined) comments.set(name, comment)
    else if (end !== undefined) comment = undefined
  }
  const rows = Object.entries(LIMITS).map(([name, value]) => {
    const covering = comments.get(name)
    if (covering === undefined) throw new Error(`src/base/limits.ts: ${name} has no comment that says what it limits`)
    return row(`\`${name}\``, readable(name, value), cell(covering.replaceAll(/\s*\n\s*\*?\s*/g, ' ')))
  })
  return `# Limits

Made by \`npm run docs\` from \`src/base/limits.ts\`. Everything that grows or waits has one; units are the last word of the name
(\`Bytes\`, \`Ms\`, plain counts otherwise).

| limit | value | what it bounds |
| --- | --- | --- |
${rows.join('\n')}
`
}

/** Path → text of every page that is made from data. */
export async function generatedPages() {
  return {
    'docs/errors.md': errorsPage(),
    'docs/limits.md': limitsPage(),
    'docs/requirements.md': await requirementsPage(root)
  }
}

if (import.meta.main) {
  for (const [path, text] of Object.entries(await generatedPages())) writeFileSync(join(root, path), text)
}
