// A look at protobuf bytes before they are decoded: a message of many empty fields is small on the wire and large in memory.

/** Fields of the message in bytes [from, to), or null when they are malformed or more than `max`. Calls `nested` with each length-delimited field. */
export function countFields(
  bytes: Uint8Array,
  from: number,
  to: number,
  max: number,
  nested?: (field: number, from: number, to: number) => boolean
): number | null {
  let at = from
  let count = 0
  while (at < to) {
    const tag = varint(bytes, at, to)
    if (tag === null || ++count > max) return null
    const kind = tag.value % 8
    at = tag.next
    if (kind === 0) {
      const value = varint(bytes, at, to)
      if (value === null) return null
      at = value.next
    } else if (kind === 2) {
      const length = varint(bytes, at, to)
      if (length === null || length.value > to - length.next) return null
      at = length.next + length.value
      if (nested !== undefined && !nested(Math.floor(tag.value / 8), length.next, at)) return null
    } else if (kind === 1 || kind === 5) at += kind === 1 ? 8 : 4
    else return null
  }
  return at === to ? count : null
}

function varint(bytes: Uint8Array, from: number, to: number): { readonly value: number; readonly next: number } | null {
  let value = 0
  let factor = 1
  for (let at = from; at < to && at < from + 10; at++) {
    const byte = bytes[at] as number
    value += (byte & 0x7f) * factor
    if (byte < 0x80) return { value, next: at + 1 }
    factor *= 128
  }
  return null
}
