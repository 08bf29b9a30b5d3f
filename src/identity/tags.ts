// The one registry of tags (PROTOCOL §1): every signed or hashed text begins with one of them, and no tag serves two purposes.

function tag(name: string): Buffer {
  return Buffer.from(`pmesh/${name}/1\0`, 'latin1')
}

/** NUL-ended tags, `pmesh/NAME/1\0`. Frozen: names are only ever added. */
export const TAGS = {
  /** Commitment to a salted payload. */
  payload: tag('payload'),
  /** Id of an event: hash of its header. */
  event: tag('event'),
  /** Signature over the statement of an append. */
  seal: tag('seal'),
  /** Hash of statement and seal: the prev of the next append. */
  link: tag('link'),
  /** Signature of a beacon. */
  head: tag('head'),
  /** Mesh id. */
  mesh: tag('mesh'),
  /** Scope id. */
  scope: tag('scope'),
  /** Signature of a membership certificate. */
  certificate: tag('certificate'),
  /** Signature of the recovery key under a new founder. */
  refound: tag('refound'),
  /** HMAC of an invite's redemption. */
  join: tag('join'),
  /** Digest of a tool call that votes cover. */
  call: tag('call'),
  /** Signature of a member's addresses. */
  address: tag('address'),
  /** Signature of a hello. */
  hello: tag('hello'),
  /** Signature of an identity claim. */
  claim: tag('claim')
} as const
