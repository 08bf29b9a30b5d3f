// The event that every benchmark and floor uses: a JSON object of exactly 256 bytes, different for each index.

import { createHash } from 'node:crypto'

export const PAYLOAD_BYTES = 256
/** Payload, a signature and the least of a header: what one sealed event costs. */
export const EVENT_FLOOR_BYTES: number = PAYLOAD_BYTES + 64 + 40
const ITEM_BYTES_MAX = 24
const TAIL_BYTES = 9

export function payload(index: number): Buffer {
  const customer = createHash('md5').update(`c${index}`).digest('hex')
  const head = `{"t":"order.placed","n":${index},"at":${1_790_000_000_000 + index},"cust":"${customer}","items":[`
  let body = ''
  for (let item = 0; head.length + body.length + ITEM_BYTES_MAX + TAIL_BYTES <= PAYLOAD_BYTES; item++) {
    body += `${item > 0 ? ',' : ''}{"sku":"A${(index * 7 + item * 131) % 100_000}","q":${1 + (item % 9)}}`
  }
  const open = `${head}${body}],"p":"`
  const fill = createHash('sha256').update(`p${index}`).digest('base64').repeat(2)
  return Buffer.from(`${open}${fill.slice(0, PAYLOAD_BYTES - open.length - 2)}"}`)
}

export function payloads(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => payload(index))
}
