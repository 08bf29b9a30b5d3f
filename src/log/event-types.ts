// The one registry of event types (PROTOCOL §2): a record is never erasable and holds no free text; content is erasable. Types `app-…` are the user's.

import { ROLES, type Role } from '../identity/certificate.ts'

export interface EventType {
  readonly class: 'record' | 'content'
  /** Least role whose event has effect. */
  readonly role: Role
  /** Right that its author must hold, if any. */
  readonly right: 'approve' | 'admit' | 'remove' | 'witness' | null
  readonly schema: number
  /** What the event is about. */
  readonly entity: 'chain' | 'mesh' | 'member' | 'epoch' | 'branch' | 'task' | 'run' | 'approval' | 'node' | 'user'
}

const record = (role: Role, entity: EventType['entity'], right: EventType['right'] = null): EventType => ({
  class: 'record',
  role,
  right,
  schema: 1,
  entity
})

const content = (entity: EventType['entity']): EventType => ({
  class: 'content',
  role: 'member',
  right: null,
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
  'branch-witnessed': record('member', 'branch', 'witness'),

  // Owned by the submitter's chain (PROTOCOL §8).
  'task-submitted': record('member', 'task'),
  'task-input': content('task'),
  'task-assigned': record('member', 'task'),
  'task-cancelled': record('member', 'task'),

  // Owned by the executor's chain.
  'run-started': record('member', 'run'),
  'call-proposed': content('run'),
  'call-arguments': content('run'),
  'stage-decided': record('member', 'run'),
  'stage-explained': content('run'),
  'approval-requested': record('member', 'approval'),
  'tool-started': record('member', 'run'),
  'tool-output': content('run'),
  'file-changed': content('run'),
  'tool-finished': record('member', 'run'),
  'model-called': record('member', 'run'),
  'message-added': content('run'),
  'call-recorded': content('run'),
  'run-finished': record('member', 'run'),

  // Votes of any member: a set.
  'approval-voted': record('member', 'approval', 'approve'),
  'judge-voted': record('member', 'run'),

  // What a node says of itself.
  'node-announced': content('node'),
  'policy-recorded': content('node'),
  'tool-registered': content('node'),
  'tool-removed': content('node')
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
