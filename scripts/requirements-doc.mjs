// docs/requirements.md: every promise that is listed as done, and the tests that prove it.
import { REQUIREMENTS } from '../test/requirements.ts'
import { citations, testNames } from './test-names.ts'

/** The page's text; `root` is the folder of the project. */
export async function requirementsPage(root) {
  const tests = await testNames(root)
  const sections = REQUIREMENTS.map(({ id, promise }) => {
    const proofs = citations(tests, id).map(({ file, name }) => `- [${file}](../${file}): ${name}`)
    return `## ${id}\n\n${promise}\n\n${proofs.length > 0 ? proofs.join('\n') : '- no test'}`
  })
  return `# Requirements

Made by \`npm run docs\` from \`test/requirements.ts\` and the names of the tests. Listed is what is done and proved; a promise that is not here is not made.

${sections.length > 0 ? sections.join('\n\n') : 'None yet.'}
`
}
