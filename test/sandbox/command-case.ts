// One case of the A list: a single call of the tool, and what the host finds afterwards.

import assert from 'node:assert/strict'
import { type CommandKit, SECRET } from './command-kit.ts'
export interface CommandCase {
  readonly id: string
  readonly what: string
  readonly run: (kit: CommandKit, marker: string) => Promise<void>
}

/** A case whose script must not bring the secret out, whatever else it does. */
export function hides(id: string, what: string, script: (kit: CommandKit, secret: string) => string): CommandCase {
  return {
    id,
    what,
    async run(kit) {
      const secret = kit.secretFile(`${id}.txt`)
      const { text, status } = await kit.bash(`${script(kit, secret)}\necho the end`)
      assert.match(text, /the end/, `the script did not run to its end: ${status}`)
      assert.ok(!text.includes(SECRET), text)
    }
  }
}

/** A case whose Python must print `contained`. */
export function contains(id: string, what: string, script: string): CommandCase {
  return {
    id,
    what,
    async run(kit) {
      const { text } = await kit.python(script)
      assert.match(text, /^contained$/m, text)
    }
  }
}
