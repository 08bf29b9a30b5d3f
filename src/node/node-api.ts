// What the local socket may ask of a running node. Plain JSON values only: bytes are lower-case hex, times are ISO 8601 text,
// counts are numbers, members are named by peer id. Errors are MeshErrors of base/errors.ts.

import type { RunApi } from './run-api.ts'

export interface MemberRef {
  readonly peerId: string
  readonly name: string
}

export interface NodeStatus {
  readonly version: string
  readonly name: string
  readonly peerId: string
  readonly fingerprint: string
  readonly state: 'starting' | 'recovering' | 'ready' | 'identity-in-use-twice' | 'removed' | 'stopping'
  readonly stateDetail: string
  readonly startedAt: string
  readonly uptimeMs: number
  readonly home: string
  readonly socket: string
  readonly mesh: {
    readonly id: string
    readonly name: string
    readonly members: number
    readonly role: string
    readonly founder: string
  }
  readonly listening: { readonly main: readonly string[]; readonly door: readonly string[]; readonly mdns: boolean }
  readonly log: {
    readonly events: number
    readonly openedInMs: number
    readonly synced: boolean
    readonly behind: number
  }
  readonly members: readonly MemberStatus[]
  /** Facts that a person should know, worst first; `hint` is a command. */
  readonly health: readonly { readonly level: 'warn' | 'error'; readonly text: string; readonly hint: string }[]
  /**
   * Tasks that work here, approvals that this node may answer, and what isolates; `boxed`: every sandbox is there. Absent before the run is up.
   */
  readonly run?:
    | {
        readonly running: number
        readonly waitingApprovals: number
        readonly sandbox: string
        readonly boxed?: boolean | undefined
      }
    | undefined
}

export interface MemberStatus extends MemberRef {
  readonly self: boolean
  readonly role: string
  readonly removed: boolean
  readonly connected: boolean
  /** Address text of the link, '' when not connected. */
  readonly address: string
  readonly relayed: boolean
  readonly rttMs: number | null
  readonly lastSeenAt: string | null
  /** Events of this author held here. */
  readonly events: number
  /** Events known to exist (signed heads) and not held here. */
  readonly behind: number
  readonly chain: 'complete' | 'behind' | 'contradicted' | 'forked' | 'unknown' | 'unconfirmed'
}

export interface EventRecord {
  readonly id: string
  readonly author: MemberRef
  readonly chain: number
  readonly epoch: number
  readonly seq: number
  readonly time: string
  readonly type: string
  readonly scope: string | null
  /** True when the event has effect: role, rights and JSON rules hold. */
  readonly authorised: boolean
  readonly payload: 'present' | 'erased' | 'pending' | 'none'
  /** The exact JSON text; null when the payload is absent or is not JSON. */
  readonly json: string | null
}

export interface LogQuery {
  /** Member: name, peer id or an unambiguous beginning of it. */
  readonly author?: string | undefined
  readonly type?: string | undefined
  readonly scope?: string | undefined
  /** ISO 8601, inclusive. */
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly limit?: number | undefined
  /** From a previous page's `next`. */
  readonly cursor?: string | undefined
  readonly order?: 'oldest' | 'newest' | undefined
}

export interface Page<Item> {
  readonly items: readonly Item[]
  readonly next: string | null
}

export interface ChainHead {
  readonly author: MemberRef
  readonly chain: number
  readonly epoch: number
  readonly seq: number
  readonly id: string
  readonly link: string
  readonly seal: string
  /** Highest sequence number that a signed head proves to exist. */
  readonly witnessedSeq: number
  readonly state: 'complete' | 'behind' | 'contradicted' | 'forked' | 'quarantined' | 'unconfirmed'
}

export interface ChainReport {
  readonly author: MemberRef
  readonly events: number
  readonly chains: number
  readonly ok: boolean
  readonly sealsValid: boolean
  readonly erased: number
  readonly pending: number
  readonly code: string | null
  readonly message: string | null
}

export interface VerifyReport {
  readonly events: number
  readonly ok: boolean
  readonly elapsedMs: number
  readonly chains: readonly ChainReport[]
}

export interface AppendItem {
  /** `app-…`. */
  readonly type: string
  /** One JSON object as text; its exact bytes are stored (then filled with spaces). */
  readonly json: string
  /** 32 hex characters, or absent. */
  readonly scope?: string | undefined
}

export interface AppendReceipt {
  readonly id: string
  readonly epoch: number
  readonly seq: number
}

export interface InviteRecord {
  readonly id: string
  readonly role: string
  readonly name: string
  readonly createdAt: string
  readonly expiresAt: string
  readonly state: 'open' | 'used' | 'expired' | 'revoked'
  readonly usedBy: string | null
}

export interface MemberDetail extends MemberStatus {
  readonly fingerprint: string
  readonly rank: number
  readonly rights: readonly string[]
  readonly admittedBy: MemberRef | null
  readonly admittedAt: string | null
  readonly removedBy: MemberRef | null
  readonly addresses: readonly string[]
  readonly flags: readonly string[]
}

export interface PeerRecord extends MemberRef {
  readonly address: string
  readonly direction: 'inbound' | 'outbound'
  readonly relayed: boolean
  readonly connectedAt: string
  readonly rttMs: number | null
  readonly gossip: boolean
  readonly sendBacklogBytes: number
}

/** One answered question of `pmesh why`, in the order they must hold: connected, admitted, frontier, gaps, last error. */
export interface WhyStep {
  readonly question: string
  readonly ok: boolean | null
  readonly answer: string
  readonly hint: string
}

export interface DoctorLine {
  readonly section: string
  readonly level: 'ok' | 'warn' | 'error'
  readonly text: string
  /** Command that mends it; '' when ok. */
  readonly hint: string
}

export interface Progress {
  readonly done: number
  readonly total: number
}

export type LogEntry = { readonly event: EventRecord; readonly cursor: string }

export interface NodeApi extends RunApi {
  status(): Promise<NodeStatus>
  /** Resolves when the node accepts appends. TIMEOUT after `timeoutMs`. */
  waitReady(timeoutMs: number, signal: AbortSignal): Promise<void>
  /** Answers, then stops the node. */
  stop(): Promise<void>
  doctor(): Promise<readonly DoctorLine[]>
  why(member: string | null): Promise<readonly { readonly member: MemberRef; readonly steps: readonly WhyStep[] }[]>

  identity(): Promise<{
    readonly peerId: string
    readonly publicKey: string
    readonly fingerprint: string
    readonly name: string
    readonly sealedBy: string
  }>
  /** Makes this instance the writer when the identity is in use twice. */
  identityClaim(): Promise<void>
  /** Ends recovery by name: opens a new epoch instead of waiting for peers. */
  recoveryOverride(): Promise<void>

  members(): Promise<readonly MemberStatus[]>
  member(member: string): Promise<MemberDetail>
  memberRemove(member: string): Promise<{ readonly id: string }>
  memberRole(member: string, role: 'observer' | 'member' | 'admin'): Promise<{ readonly id: string }>

  /** Names this node the founder by the 24 words of the mesh's recovery key; the founder before is removed at what is stored here of it. */
  founderName(recoveryWords: string): Promise<{ readonly id: string }>

  invites(): Promise<readonly InviteRecord[]>
  /** The line is shown once and never stored in the clear. */
  inviteCreate(options: {
    readonly role: 'observer' | 'member' | 'admin'
    readonly name: string
    readonly expiresInMs: number
  }): Promise<{ readonly invite: InviteRecord; readonly line: string }>
  inviteRevoke(id: string): Promise<InviteRecord>
  /** Leaves a mesh of one with only its founding events and enters the invite's mesh. */
  join(
    line: string,
    name: string | null
  ): Promise<{
    readonly mesh: string
    readonly inviter: MemberRef & { readonly fingerprint: string }
    readonly fingerprint: string
  }>

  peers(): Promise<readonly PeerRecord[]>
  peerConnect(addresses: readonly string[]): Promise<MemberRef>
  peerPing(member: string): Promise<{ readonly rttMs: number }>

  append(items: readonly AppendItem[]): Promise<readonly AppendReceipt[]>
  query(query: LogQuery): Promise<Page<EventRecord>>
  /** Events in arrival order of this node, from `cursor` (null: from now on). No gap, no duplicate; ends when aborted. */
  follow(
    query: { readonly cursor: string | null; readonly type?: string | undefined; readonly author?: string | undefined },
    signal: AbortSignal
  ): AsyncIterable<LogEntry>
  heads(): Promise<readonly ChainHead[]>
  verify(onProgress: (progress: Progress) => void, signal: AbortSignal, author: string | null): Promise<VerifyReport>
  /** Writes an export (docs/protocol.md "Export") of all chains, or one author's, to a file of the caller's. */
  exportTo(
    path: string,
    author: string | null,
    onProgress: (progress: Progress) => void,
    signal: AbortSignal
  ): Promise<{ readonly events: number; readonly bytes: number }>
}
