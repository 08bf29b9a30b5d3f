// The one registry of event types (PROTOCOL §2): a record is never erasable and holds no free text; content is erasable. Types `app-…` are the user's.

import { ROLES, type Role } from '../identity/certificate.ts'

export interface EventType {
  readonly class: 'record' | 'content'
  /** Least role whose event has effect. */
  readonly role: Role
  /** Right that its author must hold, if any. */
  readonly right: 'admit' | 'remove' | 'witness' | null
  readonly schema: number
  /** What the event is about. */
  readonly entity: 'chain' | 'mesh' | 'member' | 'epoch' | 'branch' | 'user'
}

const record = (role: Role, entity: EventType['entity'], right: EventType['right'] = null): EventType => ({
  class: 'record',
  role,
  right,
  schema: 1,
  entity
})

/** Own presence: what an observer may append. */
const REGISTRY: Readonly<Record<string, EventType>> = {
  'chain-opened': record('observer', 'chain'),
  'clock-stepped': record('observer', 'chain'),
  'epoch-opened': record('observer', 'epoch'),
  'mesh-founded': record('admin', 'mesh'),
  'founder-named': record('observer', 'mesh'),
  'member-admitted': record('admin', 'member', 'admit'),
  'member-changed': record('admin', 'member', 'admit'),
  'member-removed': record('admin', 'member', 'remove'),
  'branch-witnessed': record('member', 'branch', 'witness')
}

const APP_CONTENT: EventType = { class: 'content', role: 'member', right: null, schema: 1, entity: 'user' }

/** The registered type, the rule of `app-…` types, or null for a type that this version does not know. */
export function eventType(type: string): EventType | null {
  if (Object.hasOwn(REGISTRY, type)) return REGISTRY[type] as EventType
  return type.startsWith('app-') && type.length > 4 ? APP_CONTENT : null
}

/** Types whose events decide membership, epochs and branches: the log keeps them at hand. */
export const CONTROL_TYPES: ReadonlySet<string> = new Set([
  'mesh-founded',
  'founder-named',
  'member-admitted',
  'member-changed',
  'member-removed',
  'epoch-opened',
  'branch-witnessed'
])

export function roleAtLeast(role: Role, least: Role): boolean {
  return ROLES[role] >= ROLES[least]
}
