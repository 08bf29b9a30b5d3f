// Byte helpers without allocation surprises. Bytes are Uint8Array; text forms are lower-case hex.

/** Lower-case hex of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

/** Parses lower- or upper-case hex; null when `text` is not whole bytes of hex or not `length` bytes long. */
export function tryParseHex(text: string, length?: number): Uint8Array | null {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return null
  if (length !== undefined && text.length !== length * 2) return null
  return copyBytes(Buffer.from(text, 'hex'))
}

/** Bytes of trusted hex written by this program. */
export function fromHex(text: string): Uint8Array {
  return Buffer.from(text, 'hex')
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0
}

/** Lexicographic order: negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b)
}

export function concatBytes(parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(parts)
}

/** A copy that shares no memory with its source: decoded views alias network buffers and must be copied before they are kept. */
export function copyBytes(bytes: Uint8Array): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes)
}

export function isZero(bytes: Uint8Array): boolean {
  for (let index = 0; index < bytes.length; index++) if (bytes[index] !== 0) return false
  return true
}

export function utf8(text: string): Buffer {
  return Buffer.from(text, 'utf8')
}

/** A Buffer over the same memory as `bytes`. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
