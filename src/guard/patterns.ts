// The table of patterns. Phrases see text as `normalise` leaves it: lower case, one space, line ends kept, Latin letters bare.

import { ACTION_PATTERNS } from './action-patterns.ts'
import { ATTENTION_PATTERNS } from './attention-patterns.ts'
import { AUTHORITY_PATTERNS } from './authority-patterns.ts'
import { FOREIGN_PATTERNS } from './foreign-patterns.ts'
import { OVERRIDE_PATTERNS } from './override-patterns.ts'
import type { GuardPattern } from './pattern.ts'
import { PERSONA_PATTERNS } from './persona-patterns.ts'
import { STRUCTURE_PATTERNS } from './structure-patterns.ts'

/** All patterns. Rules are unique: each counts once in a text. */
export const PATTERNS: readonly GuardPattern[] = [
  ...STRUCTURE_PATTERNS,
  ...OVERRIDE_PATTERNS,
  ...ATTENTION_PATTERNS,
  ...AUTHORITY_PATTERNS,
  ...ACTION_PATTERNS,
  ...PERSONA_PATTERNS,
  ...FOREIGN_PATTERNS
]
