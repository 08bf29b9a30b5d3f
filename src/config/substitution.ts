// `${NAME}` in string values, after parsing (ENV-1). `${NAME:-default}` gives a default, `$${NAME}` is the text `${NAME}`.
// The result may be a secret: whoever shows a value shows the text before substitution.

import { MeshError } from '../base/mesh-error.ts'

const REFERENCE = /\$(\$\{[^}]*\})|\$\{([^}]*)\}/g
const NAME = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/

/** Whether `text` is nothing but one reference: such a value holds no secret itself. */
export function isReference(text: string): boolean {
  return /^\$\{[A-Za-z_][A-Za-z0-9_]*\}$/.test(text)
}

export function hasReference(text: string): boolean {
  return [...text.matchAll(REFERENCE)].some((match) => match[2] !== undefined)
}

/** `place` is named in errors, as `providers.groq.api_key`. CONFIG_INVALID for a variable that is not set and has no default. */
export function substitute(text: string, place: string, env: NodeJS.ProcessEnv): string {
  return text.replaceAll(REFERENCE, (_whole, literal: string | undefined, reference: string | undefined) => {
    if (literal !== undefined) return literal
    const match = NAME.exec(reference ?? '')
    const name = match?.[1]
    if (name === undefined)
      throw new MeshError('CONFIG_INVALID', `${place} holds a malformed \${…}`, { details: { place } })
    const value = env[name] ?? match?.[2]
    if (value === undefined) {
      throw new MeshError('CONFIG_INVALID', `${place} refers to the variable ${name}, which is not set`, {
        details: { place, variable: name }
      })
    }
    return value
  })
}
