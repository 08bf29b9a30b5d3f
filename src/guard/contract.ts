// What looks at text promises (acceptance GUARD). A guard is a pure function of the text and where it comes from; it may change the text or
// block it. A throw is a block: callers treat it as one.

/** What the text is. */
export type GuardSubject = 'prompt' | 'arguments' | 'result' | 'description' | 'answer'

/** Where the text comes from. Only `owner` is trusted; `peer` is a member's task from elsewhere. */
export type GuardOrigin = 'owner' | 'peer' | 'model' | 'tool' | 'web' | 'file'

export interface GuardContext {
  readonly subject: GuardSubject
  readonly origin: GuardOrigin
}

export interface GuardFinding {
  /** Name of the pattern, stable: `override-instructions`, `role-token`, … */
  readonly rule: string
  /** `note` is recorded; `change` had its text replaced; `block` stops the run. */
  readonly action: 'note' | 'change' | 'block'
  /** 0…1. */
  readonly score: number
  /** UTF-16 offsets in the text as given; the whole text where the finding is only in a decoded or normalised form. */
  readonly start: number
  readonly end: number
  /** How the text had to be read to find it: `plain`, `normalised`, `base64`, `hex`, … */
  readonly form: string
}

export interface GuardVerdict {
  readonly action: 'pass' | 'change' | 'block'
  /** What goes on: equal to the input unless `action` is `change`. */
  readonly text: string
  /** The highest score of the findings, 0 without any. */
  readonly score: number
  readonly findings: readonly GuardFinding[]
}

export interface Guard {
  /** Name and version, recorded with every verdict: a replay needs the same. */
  readonly name: string
  inspect(text: string, context: GuardContext): GuardVerdict
}
