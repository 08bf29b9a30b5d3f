// SECURITY.md: every sentence under "What is protected" ends with the ids that prove it in parentheses, `… is refused (ID-4, CHAIN-1).`,
// and each of them is listed as done in test/requirements.ts.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { REQUIREMENTS } from '../requirements.ts'

const root = dirname(dirname(import.meta.dirname))
const HEADING = 'What is protected'
const IDS = / \(([A-Z]+\d*-\d+(?:, [A-Z]+\d*-\d+)*)\)\.$/

/** The sentences of the section: a bullet or paragraph may hold several. */
function claims(markdown: string): string[] {
  const [, section] = markdown.split(new RegExp(`^## ${HEADING}$`, 'm'))
  assert.ok(section !== undefined, `SECURITY.md has a section "${HEADING}"`)
  const body = section.split(/^## /m)[0] ?? ''
  const blocks = body.split(/\n\s*\n|\n(?=\s*[-*] )/).map((block) => block.trim().replace(/^[-*] /, ''))
  return blocks
    .filter((block) => block !== '' && !block.startsWith('#'))
    .flatMap((block) => block.replaceAll(/\s*\n\s*/g, ' ').split(/(?<=[.!?])\s+(?=\S)/))
}

/** What is wrong with one claim, or null. */
function fault(claim: string, done: ReadonlySet<string>): string | null {
  const ids = IDS.exec(claim)?.[1]?.split(', ')
  if (ids === undefined) return `names no id: ${claim}`
  const unproved = ids.filter((id) => !done.has(id))
  return unproved.length > 0 ? `${unproved.join(', ')} not done: ${claim}` : null
}

test('each sentence of SECURITY.md that claims a protection names promises that are done', async () => {
  const done = new Set(REQUIREMENTS.map(({ id }) => id))
  const faults = claims(await readFile(join(root, 'SECURITY.md'), 'utf8')).map((claim) => fault(claim, done))
  assert.deepEqual(
    faults.filter((text) => text !== null),
    []
  )
})

test('a claim without an id, or with an id that is not done, is found', () => {
  const page = `# Security\n\n## ${HEADING}\n\nAll of it is. More (ONE-1).\n\n- A key is refused\n  early (ONE-1, TWO-2).\n- Safe.\n\n## Else\n\nNo claim.\n`
  const sentences = claims(page)
  assert.deepEqual(sentences, ['All of it is.', 'More (ONE-1).', 'A key is refused early (ONE-1, TWO-2).', 'Safe.'])
  const faults = sentences.map((claim) => fault(claim, new Set(['ONE-1'])))
  assert.deepEqual(faults, [
    'names no id: All of it is.',
    null,
    'TWO-2 not done: A key is refused early (ONE-1, TWO-2).',
    'names no id: Safe.'
  ])
})
