// What the policy stage is asked and answers. Deciding is pure and deterministic: the same policy text and the same request give the same
// verdict on every machine, which is what a replay checks.

export const TIERS = ['read-only', 'internal', 'external', 'irreversible'] as const
/** Risk tier of a call, rising. A tool that declares none is irreversible. */
export type Tier = (typeof TIERS)[number]

/** Up to "internal": what stays inside the node may be tried again without a person. */
export function isInside(tier: Tier): boolean {
  return TIERS.indexOf(tier) <= TIERS.indexOf('internal')
}

/** Why a run is tainted: what kind of untrusted text it has seen. */
export type Taint = 'peer' | 'web' | 'file' | 'tool' | 'model'

/** Who asks for the call. Only `owner` may confirm anything. */
export type Principal = 'owner' | 'agent' | 'token' | 'peer'

export type PolicyMode = 'confirm' | 'rules' | 'read-only'

export interface PolicyRequest {
  readonly tool: string
  readonly kind: 'builtin' | 'script' | 'wasm' | 'command' | 'mcp'
  /** As the tool declares it; null is irreversible. */
  readonly tier: Tier | null
  /** The parsed arguments: a JSON object. */
  readonly arguments: Readonly<Record<string, unknown>>
  readonly taint: readonly Taint[]
  readonly principal: Principal
  /** Member that submitted the task. */
  readonly member: { readonly name: string; readonly peerId: string; readonly self: boolean }
  /** Paths in the workspace, hosts and the argument array that the call touches, as the tool says. */
  readonly paths: readonly string[]
  readonly hosts: readonly string[]
  readonly argv: readonly string[] | null
}

export interface PolicyVerdict {
  readonly decision: 'allow' | 'ask' | 'deny'
  /** After the classifier: never below what the tool declares. */
  readonly tier: Tier
  /** Id of the rule that decided: a user's, `default`, `taint`, `mode`, or a built-in one such as `command-destructive`. */
  readonly rule: string
  /** `policy.toml:12` or `built-in`. */
  readonly place: string
  /** For a person, each a short sentence. */
  readonly reasons: readonly string[]
  /** For `ask`: how many members must approve, and whether one of them must be another key than the submitter's. */
  readonly votes: number
  readonly anotherKey: boolean
  readonly expiresInMs: number
  /** Judges for the result: 1, or 3 with a minority veto. */
  readonly judges: number
}

/** What the owner trusts: it does not taint a run. */
export interface TrustList {
  /** A path in the workspace. */
  file(path: string): boolean
  host(host: string): boolean
  /** By its peer id: members choose their own names. */
  member(peerId: string): boolean
}

export interface Policy {
  /** Lower-case hex of SHA-256 over the text; of the empty text without a file. */
  readonly hash: string
  /** The file's text, '' without a file. */
  readonly text: string
  readonly trust: TrustList
  decide(request: PolicyRequest): PolicyVerdict
}
