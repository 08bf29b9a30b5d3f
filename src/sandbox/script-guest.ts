// The guest's side of a script call: JavaScript that runs inside the interpreter before the script does. It turns whatever the script gives
// into one string there, so that the host asks no guest value for anything. What it reports is the guest's word and no more than output.

/** Evaluates to `{ open, settle, fail, call, finish }`; the script cannot reach them. `finish` gives a letter for the status and the text. */
export const SCRIPT_GUEST = `(() => {
  'use strict'
  const { stringify, parse } = JSON
  const { apply } = Reflect
  const { slice, toWellFormed } = String.prototype
  const text = String
  const OutOfMemory = InternalError
  let charactersMax = 0
  let given
  let lines = ''
  let status = 'w'
  let result = ''

  const add = (line) => {
    if (lines.length < charactersMax) lines += apply(slice, line, [0, charactersMax - lines.length]) + '\\n'
  }
  const show = (value) => {
    if (typeof value === 'string') return value
    try {
      return stringify(value) ?? text(value)
    } catch {
      return text(value)
    }
  }
  const log = (...values) => {
    let line = ''
    for (let index = 0; index < values.length; index++) line += (index === 0 ? '' : ' ') + show(values[index])
    add(line)
  }
  const fail = (error) => {
    status = error instanceof OutOfMemory && error.message === 'out of memory' ? 'm' : 'e'
    const frames = error instanceof Error && typeof error.stack === 'string' ? '\\n' + error.stack : ''
    result = text(error) + apply(slice, frames, [0, 2000])
  }
  const settle = async (promise, unwrap) => {
    status = 'w'
    try {
      let value = await promise
      if (unwrap) value = await value.value
      result = stringify(value) ?? 'null'
      status = 'o'
    } catch (error) {
      try {
        fail(error)
      } catch {
        status = 'e'
        result = 'an error that cannot be shown'
      }
    }
  }
  return {
    open(input, characters) {
      charactersMax = characters
      const define = (name, value) =>
        Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false })
      given = parse(input)
      define('input', given)
      define('console', { log, info: log, warn: log, error: log, debug: log })
    },
    settle,
    fail,
    call: (main) => settle((async () => main(given))(), false),
    finish: () => status + apply(slice, apply(toWellFormed, lines + result, []), [0, charactersMax + 1])
  }
})()`
