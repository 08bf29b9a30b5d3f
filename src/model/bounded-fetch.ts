// A fetch for one model server: no redirects, for the credential would travel along, and an answer of bounded length.

import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'

export type Fetch = typeof globalThis.fetch

/** The body’s stream fails with MODEL_ANSWER_INVALID beyond LIMITS.modelResponseBytesMax. `onAnswer` is told when an answer begins. */
export function boundedFetch(fetch: Fetch, onAnswer: () => void): Fetch {
  return async (input, init) => {
    const response = await fetch(input, { ...init, redirect: 'error' })
    if (response.ok) onAnswer()
    if (response.body === null) return response
    const { status, statusText, headers } = response
    return new Response(response.body.pipeThrough(limited()), { status, statusText, headers })
  }
}

function limited(): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  let bytes = 0
  return new TransformStream({
    transform(chunk, controller) {
      bytes += chunk.length
      if (bytes <= LIMITS.modelResponseBytesMax) controller.enqueue(chunk)
      else controller.error(new MeshError('MODEL_ANSWER_INVALID', 'the model server’s answer has no end'))
    }
  })
}
