// Masks credentials in text before it is cut, stored or sent. Shapes with a prefix of their own, and values that stand behind a telling
// name; peer ids, multiaddrs, hashes and UUIDs have neither and stay. Masking twice changes nothing more.

interface SecretShape {
  readonly kind: string
  readonly expression: RegExp
  /** What of a match stays in front of the mask. */
  readonly keeps?: number
}

/** Secrets shorter than this would mask ordinary words. */
const VALUE_LENGTH_MIN = 4
const PRIVATE_KEY_BEGIN = /-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----/g
const PRIVATE_KEY_END = /-----END (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----/g

/** A telling name with its sign; what follows is the value. */
const NAMED =
  /((?:password|passwd|passphrase|pwd(?!=\/)|secret|api[_-]?key|apikey|access[_-]?key|secret[_-]?key|auth[_-]?token|access[_-]?token|refresh[_-]?token|client[_-]?secret|private[_-]?key)\\?["']?\s?[:=]\s?\\?["']?)(?!\[redacted:|\$\{|true\b|false\b|null\b|undefined\b)/
    .source

const SHAPES: readonly SecretShape[] = [
  { kind: 'anthropic-key', expression: /\bsk-ant-[\w-]{16,256}/g },
  { kind: 'api-key', expression: /\bsk-[\w-]{20,256}/g },
  { kind: 'stripe-key', expression: /\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,128}/g },
  { kind: 'github-token', expression: /\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_\w{22,255})/g },
  { kind: 'gitlab-token', expression: /\bglpat-[\w-]{20,64}/g },
  { kind: 'npm-token', expression: /\bnpm_[A-Za-z0-9]{36}/g },
  { kind: 'aws-key', expression: /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g },
  { kind: 'google-key', expression: /\bAIza[\w-]{35}/g },
  { kind: 'slack-token', expression: /\bxox[abeprs]-[\w-]{10,255}/g },
  { kind: 'hugging-face-token', expression: /\bhf_[A-Za-z0-9]{30,64}/g },
  { kind: 'jwt', expression: /\beyJ[\w-]{8,4096}\.eyJ[\w-]{4,8192}\.[\w-]{8,4096}/g },
  { kind: 'bearer-token', expression: /\b(Bearer\s)[\w.~+/=-]{12,4096}/gi, keeps: 1 },
  { kind: 'basic-credentials', expression: /\b(Authorization:\s?Basic\s)[A-Za-z0-9+/=]{8,512}/gi, keeps: 1 },
  { kind: 'url-password', expression: /\b([a-z][a-z0-9+]{1,15}:\/\/[^\s/:@]{0,64}:)[^\s/@[]{1,256}(?=@)/gi, keeps: 1 },
  {
    kind: 'assigned-secret',
    expression: new RegExp(`${NAMED}[^\\s"'\\\\,;&<>(){}[\\]]{6,512}`, 'gi'),
    keeps: 1
  }
]

/** For a person who decides on the text: a mask covers letters of a credential, and nothing that a shell or a host could be told. */
const EXACT_SHAPES: readonly SecretShape[] = SHAPES.map((shape) => {
  const { kind } = shape
  if (kind === 'assigned-secret')
    return { ...shape, expression: new RegExp(`${NAMED}(?![/-])[\\w+/=-]{6,512}(?![\\w+/=:@|$\`-])`, 'gi') }
  if (kind === 'url-password')
    return { ...shape, expression: /\b([a-z][a-z0-9+]{1,15}:\/\/[^\s/:@]{0,64}:)[\w.~+=-]{1,256}(?=@)/gi }
  return shape
})
const KEY_LINE = /^(?:[A-Za-z0-9+/=]{1,80}|[A-Za-z-]{1,24}: [\w,.+/=-]{1,80})?$/
const LINE_END = /\r?\n|\\n/

/**
 * `text` with every well-known shape of a credential replaced by `[redacted:KIND]`. `exact`: what looks like a credential only by the words
 * around it stays.
 */
export function redactSecrets(text: string, { exact = false } = {}): string {
  let redacted = redactPrivateKeys(text, exact)
  for (const { kind, expression, keeps } of exact ? EXACT_SHAPES : SHAPES) {
    redacted = redacted.replaceAll(expression, (_match: string, kept: unknown) =>
      keeps === undefined ? `[redacted:${kind}]` : `${String(kept)}[redacted:${kind}]`
    )
  }
  return redacted
}

/** `text` with each of `secrets` masked wherever it stands, the longest first; values under four characters are left. */
export function maskValues(text: string, secrets: readonly string[]): string {
  const known = secrets.filter((secret) => secret.length >= VALUE_LENGTH_MIN)
  let masked = text
  for (const secret of known.toSorted((a, b) => b.length - a.length)) {
    masked = masked.replaceAll(secret, () => '[redacted:secret]')
  }
  return masked
}

/** Whole blocks; one whose end is missing is masked to the end of the text. */
function redactPrivateKeys(text: string, exact: boolean): string {
  const parts: string[] = []
  let copied = 0
  for (const begin of text.matchAll(PRIVATE_KEY_BEGIN)) {
    if (begin.index < copied) continue
    PRIVATE_KEY_END.lastIndex = begin.index
    const end = PRIVATE_KEY_END.exec(text)
    const body = text.slice(begin.index + begin[0].length, end?.index)
    if (exact && !body.split(LINE_END).every((line) => KEY_LINE.test(line))) continue
    parts.push(text.slice(copied, begin.index), '[redacted:private-key]')
    copied = end === null ? text.length : end.index + end[0].length
    if (end === null) break
  }
  PRIVATE_KEY_END.lastIndex = 0
  return parts.join('') + text.slice(copied)
}
