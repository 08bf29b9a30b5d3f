// What a person or a model sees of a result at once: a cut with a note.

import { LIMITS } from '../base/limits.ts'
import type { RunEvent } from './run-events.ts'

export function shownText(text: string, file: RunEvent<'tool-output'>['file']): string {
  if (file !== null) return `[${file.size} bytes in the run's file ${file.name}, SHA-256 ${file.sha256}]`
  const bytes = Buffer.byteLength(text)
  if (bytes <= LIMITS.toolOutputShownBytesMax) return text
  const shown = Buffer.from(text).subarray(0, LIMITS.toolOutputShownBytesMax)
  const cut = new TextDecoder('utf-8', { ignoreBOM: true }).decode(shown, { stream: true })
  return `${cut}\n[cut: ${shown.length} of ${bytes} bytes are shown]`
}
