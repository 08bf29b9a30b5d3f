// A node without a network: an in-memory log behind NodeApi, for the tests of the socket and the CLI.

import { MeshError } from '../../src/base/mesh-error.ts'
import type {
  AppendItem,
  DoctorLine,
  EventRecord,
  InviteRecord,
  LogEntry,
  LogQuery,
  MemberStatus,
  NodeApi,
  NodeStatus
} from '../../src/node/node-api.ts'
import { createFakeRun, type FakeRun } from './fake-run-api.ts'

export const LAPTOP = { peerId: '12D3KooWQ4aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaf7Zp', name: 'laptop' }
export const SERVER = { peerId: '12D3KooWBnbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbx2Lk', name: 'server' }
export const PI = { peerId: '12D3KooWTzcccccccccccccccccccccccccccccccccccccc9uQa', name: 'pi' }
const START = Date.parse('2026-11-20T08:00:00.000Z')

const member = (ref: { peerId: string; name: string }, rest: Partial<MemberStatus>): MemberStatus => ({
  ...ref,
  self: false,
  role: 'member',
  removed: false,
  connected: true,
  address: '/ip4/192.168.1.7/tcp/4701',
  relayed: false,
  rttMs: 4,
  lastSeenAt: new Date(START).toISOString(),
  events: 0,
  behind: 0,
  chain: 'complete',
  ...rest
})

export interface FakeNode extends NodeApi {
  readonly events: EventRecord[]
  readonly appends: AppendItem[][]
  readonly calls: string[]
  readonly run: FakeRun
  stopped: boolean
}

/** Replace single answers through `overrides`. */
export function createFakeNode(overrides: Partial<NodeApi> = {}): FakeNode {
  const events: EventRecord[] = []
  const appends: AppendItem[][] = []
  const calls: string[] = []
  const invites: InviteRecord[] = []
  const waiting = new Set<() => void>()
  const run = createFakeRun(calls, [LAPTOP, SERVER])
  const members = [
    member(LAPTOP, { self: true, role: 'founder', address: '', rttMs: null, events: 604 }),
    member(SERVER, { role: 'admin', events: 511 }),
    member(PI, { relayed: true, address: 'relay via server', rttMs: 31, events: 89, behind: 3, chain: 'behind' })
  ]

  function append(items: readonly AppendItem[]): EventRecord[] {
    appends.push([...items])
    const added = items.map((item, index): EventRecord => {
      const seq = events.length + index + 1
      return {
        id: seq.toString(16).padStart(64, '0'),
        author: LAPTOP,
        chain: 0,
        epoch: 0,
        seq,
        time: new Date(START + seq * 1000).toISOString(),
        type: item.type,
        scope: item.scope ?? null,
        authorised: true,
        payload: 'present',
        json: item.json
      }
    })
    events.push(...added)
    for (const wake of [...waiting]) wake()
    return added
  }

  function find(name: string): MemberStatus {
    const found = members.filter((one) => one.name === name || one.peerId.startsWith(name))
    if (found.length > 1)
      throw new MeshError('MEMBER_AMBIGUOUS', 'cannot find the member: several fit', { details: { member: name } })
    if (found[0] === undefined)
      throw new MeshError('MEMBER_UNKNOWN', 'cannot find the member: nobody has that name', {
        details: { member: name }
      })
    return found[0]
  }

  async function* follow(
    query: { readonly cursor: string | null; readonly type?: string | undefined },
    signal: AbortSignal
  ): AsyncIterable<LogEntry> {
    let index = query.cursor === null ? events.length : Number(query.cursor)
    while (!signal.aborted) {
      const event = events[index]
      if (event !== undefined) {
        index++
        if (query.type === undefined || query.type === event.type) yield { event, cursor: String(index) }
        continue
      }
      await new Promise<void>((resolve) => {
        const wake = () => {
          waiting.delete(wake)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        waiting.add(wake)
        signal.addEventListener('abort', wake)
      })
    }
  }

  function query(asked: LogQuery) {
    const fits = events.filter((event) => (asked.type ?? event.type) === event.type)
    if (asked.order === 'newest') fits.reverse()
    const start = Number(asked.cursor ?? 0)
    const items = fits.slice(start, start + (asked.limit ?? 100))
    const end = start + items.length
    return { items, next: end < fits.length ? String(end) : null }
  }

  const fake: FakeNode = {
    ...run.api,
    events,
    appends,
    calls,
    run,
    stopped: false,
    status: async () => fakeStatus(members),
    waitReady: async () => {},
    stop: async () => {
      fake.stopped = true
    },
    doctor: async (): Promise<DoctorLine[]> => [
      { section: 'log', level: 'ok', text: '1 204 events, heads agree', hint: '' },
      { section: 'clock', level: 'warn', text: 'pi is 48 s behind', hint: 'set the clock of pi' }
    ],
    why: async (name) =>
      members
        .filter((one) => !one.self && (name === null || one === find(name)))
        .map((one) => ({
          member: { peerId: one.peerId, name: one.name },
          steps: [
            { question: 'connected', ok: true, answer: one.address, hint: '' },
            {
              question: 'in sync',
              ok: one.behind === 0,
              answer: `${one.behind} events missing`,
              hint: one.behind === 0 ? '' : 'pmesh peer ping pi'
            }
          ]
        })),
    identity: async () => ({
      ...LAPTOP,
      publicKey: 'ab'.repeat(32),
      fingerprint: 'apple river stone cloud',
      sealedBy: 'key-file'
    }),
    identityClaim: async () => void calls.push('identityClaim'),
    recoveryOverride: async () => void calls.push('recoveryOverride'),
    members: async () => members,
    member: async (name) => ({
      ...find(name),
      fingerprint: 'apple river stone cloud',
      rank: 1,
      rights: ['append'],
      admittedBy: LAPTOP,
      admittedAt: new Date(START).toISOString(),
      removedBy: null,
      addresses: ['/ip4/192.168.1.7/tcp/4701'],
      flags: []
    }),
    memberRemove: async (name) => {
      const found = find(name)
      if (found.self)
        throw new MeshError('MEMBER_FORBIDDEN', 'cannot remove the member: the founder stays', {
          details: { member: name }
        })
      calls.push(`memberRemove ${found.name}`)
      return { id: 'cd'.repeat(32) }
    },
    founderName: async (words) => {
      calls.push(`founderName ${words.split(' ').length} words`)
      return { id: 'ab'.repeat(32) }
    },
    memberRole: async (name, role) => {
      calls.push(`memberRole ${find(name).name} ${role}`)
      return { id: 'ef'.repeat(32) }
    },
    invites: async () => invites,
    inviteCreate: async (options) => {
      const invite: InviteRecord = {
        id: `1${invites.length}`.padEnd(16, '0'),
        role: options.role,
        name: options.name,
        createdAt: new Date(START).toISOString(),
        expiresAt: new Date(Date.now() + options.expiresInMs).toISOString(),
        state: 'open',
        usedBy: null
      }
      invites.push(invite)
      return { invite, line: 'pmesh1:fakeinviteline' }
    },
    inviteRevoke: async (id) => {
      const found = invites.find((one) => one.id === id)
      if (found === undefined)
        throw new MeshError('INVITE_UNKNOWN', 'cannot revoke the invite: there is none of that id', {
          details: { invite: id }
        })
      return { ...found, state: 'revoked' }
    },
    join: async (line, name) => {
      if (!line.startsWith('pmesh1:'))
        throw new MeshError('INVITE_INVALID', 'cannot read the invite: it does not start with pmesh1:')
      calls.push(`join ${name ?? ''}`)
      return {
        mesh: 'home',
        inviter: { ...SERVER, fingerprint: 'green apple long road' },
        fingerprint: 'apple river stone cloud'
      }
    },
    peers: async () => [
      {
        ...SERVER,
        address: '/ip4/192.168.1.7/tcp/4701',
        direction: 'outbound',
        relayed: false,
        connectedAt: new Date(START).toISOString(),
        rttMs: 4,
        gossip: true,
        sendBacklogBytes: 0
      }
    ],
    peerConnect: async () => SERVER,
    peerPing: async (name) => {
      find(name)
      return { rttMs: 4.2 }
    },
    append: async (items) => {
      for (const item of items) {
        if (!/^app-[a-z0-9-]+$/.test(item.type)) {
          throw new MeshError('EVENT_TYPE_INVALID', 'cannot append the event: its type is not app-…', {
            details: { type: item.type }
          })
        }
        if (!item.json.trimStart().startsWith('{')) {
          throw new MeshError('EVENT_INVALID', 'cannot append the event: its payload is not a JSON object', {
            details: { item: items.indexOf(item) }
          })
        }
      }
      return append(items).map(({ id, epoch, seq }) => ({ id, epoch, seq }))
    },
    query: async (asked) => query(asked),
    follow,
    heads: async () => [
      {
        author: LAPTOP,
        chain: 0,
        epoch: 0,
        seq: events.length,
        id: '11'.repeat(32),
        link: '22'.repeat(32),
        seal: '33'.repeat(64),
        witnessedSeq: events.length,
        state: 'complete'
      }
    ],
    verify: async (onProgress) => {
      onProgress({ done: 0, total: 1204 })
      onProgress({ done: 1204, total: 1204 })
      const chain = { chains: 1, ok: true, sealsValid: true, erased: 0, pending: 0, code: null, message: null }
      return {
        events: 1204,
        ok: false,
        elapsedMs: 41,
        chains: [
          { ...chain, author: LAPTOP, events: 604 },
          { ...chain, author: SERVER, events: 511, erased: 2 },
          {
            ...chain,
            author: PI,
            events: 89,
            ok: false,
            code: 'LOG_PREVIOUS_MISMATCH',
            message: 'event 71 does not continue event 70'
          }
        ]
      }
    },
    exportTo: async (path, author) => {
      calls.push(`exportTo ${path} ${author ?? ''}`.trim())
      return { events: 1204, bytes: 456_789 }
    },
    ...overrides
  }
  return fake
}

export function fakeStatus(members: readonly MemberStatus[]): NodeStatus {
  return {
    version: '0.2.0',
    ...LAPTOP,
    fingerprint: 'apple river stone cloud',
    state: 'ready',
    stateDetail: '',
    startedAt: new Date(START).toISOString(),
    uptimeMs: 3 * 3_600_000 + 12 * 60_000,
    home: '/home/p/.phantom-mesh',
    socket: '/home/p/.phantom-mesh/run/pmesh.sock',
    mesh: { id: '99'.repeat(32), name: 'home', members: 3, role: 'founder', founder: LAPTOP.peerId },
    listening: { main: ['/ip4/0.0.0.0/tcp/4701'], door: ['/ip4/0.0.0.0/tcp/4702'], mdns: true },
    log: { events: 1204, openedInMs: 41, synced: true, behind: 0 },
    members,
    health: [{ level: 'warn', text: 'pi’s clock is 48 s behind (limit 60 s)', hint: 'pmesh doctor' }]
  }
}
