// Reading one JSON object from a file of ours.

/** The object in `bytes`; null when they are not exactly one JSON object. */
export function parseRecord(bytes: Uint8Array): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null
  } catch {
    // JSON.parse has no other way to say "not JSON"; its message would quote the file
    return null
  }
}
