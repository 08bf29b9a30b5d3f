// Cuts a byte stream into lines with a limit on each. Keeps at most one unfinished line.

const NEWLINE = 0x0a

export class LineReader {
  #parts: Buffer[] = []
  #bytes = 0
  readonly #lineBytesMax: number

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax
  }

  /** Lines that `chunk` completes, without their newline. After `tooLong` the stream cannot be read any further. */
  push(chunk: Buffer): { readonly lines: readonly Buffer[]; readonly tooLong: boolean } {
    const lines: Buffer[] = []
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      if (!this.#keep(chunk.subarray(start, end))) return { lines, tooLong: true }
      lines.push(this.#take())
      start = end + 1
    }
    return { lines, tooLong: !this.#keep(chunk.subarray(start)) }
  }

  /** What came after the last newline; null when nothing did. */
  end(): Buffer | null {
    return this.#bytes === 0 ? null : this.#take()
  }

  #keep(part: Buffer): boolean {
    if (this.#bytes + part.length > this.#lineBytesMax) return false
    if (part.length > 0) this.#parts.push(part)
    this.#bytes += part.length
    return true
  }

  #take(): Buffer {
    const line =
      this.#parts.length === 1 && this.#parts[0] !== undefined
        ? this.#parts[0]
        : Buffer.concat(this.#parts, this.#bytes)
    this.#parts = []
    this.#bytes = 0
    return line
  }
}
