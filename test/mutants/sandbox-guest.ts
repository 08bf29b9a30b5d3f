// Controls of scripts, WASM modules and the tools that are registered from them.

import type { Mutant } from '../mutants.ts'

export const SANDBOX_GUEST_MUTANTS: readonly Mutant[] = [
  {
    id: 'SANDBOX-2',
    what: 'a worker that ignores its interrupt is waited for',
    file: 'src/sandbox/script-sandbox.ts',
    find: 'timeMs + LIMITS.scriptGraceMs',
    replace: 'timeMs + 10_000'
  },
  {
    id: 'SANDBOX-2',
    what: 'a call that is cancelled while it gets its worker goes on',
    file: 'src/sandbox/script-sandbox.ts',
    find: 'if (signal?.aborted === true) onAbort()',
    replace: ''
  },
  {
    id: 'SANDBOX-2',
    what: 'a module has ten seconds more',
    file: 'src/sandbox/wasm-guest.ts',
    find: "setTimeout(() => resolve({ end: 'late' }), timeMs)",
    replace: "setTimeout(() => resolve({ end: 'late' }), timeMs + 10_000)"
  },
  {
    id: 'SANDBOX-3',
    what: 'the engine has no memory limit',
    file: 'src/sandbox/script-worker.ts',
    find: 'memoryLimit: job.memoryBytes',
    replace: 'memoryLimit: 2 ** 31'
  },
  {
    id: 'SANDBOX-3',
    what: 'the output of a script is not cut',
    file: 'src/sandbox/script-sandbox.ts',
    find: 'whole.subarray(0, outputBytes)',
    replace: 'whole'
  },
  {
    id: 'SANDBOX-3',
    what: 'the streams of a module have no cap',
    file: 'src/sandbox/wasm-process.ts',
    find: 'data.slice(0, this.#left)',
    replace: 'data.slice()'
  },
  {
    id: 'SANDBOX-3',
    what: 'files in memory grow freely',
    file: 'src/sandbox/wasm-files.ts',
    find: 'if (bytes > this.#growthLeft) return false',
    replace: ''
  },
  {
    id: 'SANDBOX-3',
    what: 'descriptors have no end',
    file: 'src/sandbox/wasm-files.ts',
    find: 'if (slot >= this.#openMax) return ERRNO.tooManyOpen',
    replace: ''
  },
  {
    id: 'SANDBOX-3',
    what: 'the answer of a process is read to its end',
    file: 'src/sandbox/wasm-guest.ts',
    find: 'if (bounds !== null && Math.max(size, wanted ?? 0) > bounds.answerBytesMax)',
    replace: 'if (bounds === null && size > 1e9)'
  },
  {
    id: 'SANDBOX-4',
    what: 'V8 has no limit of pages',
    file: 'src/sandbox/wasm-guest.ts',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text
    find: '`--wasm-max-mem-pages=${pages}`',
    replace: "'--wasm-max-mem-pages=65536'"
  },
  {
    id: 'SANDBOX-4',
    what: 'declared memory is not looked at',
    file: 'src/sandbox/wasm-module.ts',
    find: 'if (pages > pagesMax)',
    replace: 'if (pages < 0)'
  },
  {
    id: 'SANDBOX-4',
    what: 'many memories are allowed',
    file: 'src/sandbox/wasm-module.ts',
    find: "if (declared.memories > 1) throw new Refusal('the module declares more than one memory')",
    replace: ''
  },
  {
    id: 'SANDBOX-4',
    what: 'shared and 64-bit memories are read like others',
    file: 'src/sandbox/wasm-module.ts',
    find: 'if (flags > 1)',
    replace: 'if (flags > 7)'
  },
  {
    id: 'SANDBOX-4',
    what: 'tables may be of any size',
    file: 'src/sandbox/wasm-module.ts',
    find: 'if (Math.max(least, most ?? 0) > LIMITS.wasmTableEntriesMax)',
    replace: 'if (least < 0)'
  },
  {
    id: 'SANDBOX-4',
    what: 'any import is granted',
    file: 'src/sandbox/wasm-module.ts',
    find: "module !== 'wasi_snapshot_preview1' || !IMPORTS.has(name) || section.byte() !== KINDS.function",
    replace: 'section.byte() > 9'
  },
  {
    id: 'SANDBOX-4',
    what: 'a path in an answer may lead anywhere',
    file: 'src/sandbox/wasm-answer.ts',
    find: 'isPaths(files, isInside)',
    replace: 'isPaths(files, () => true)'
  },
  {
    id: 'SANDBOX-4',
    what: 'a sandbox that failed its trial runs modules',
    file: 'src/sandbox/wasm-sandbox.ts',
    find: "if (!this.report.available) return refused('SANDBOX_UNAVAILABLE', this.report.text)",
    replace: ''
  },
  {
    id: 'SANDBOX-5',
    what: 'scripts import modules',
    file: 'src/sandbox/script-worker.ts',
    find: 'timezoneOffset: 0,',
    replace: "timezoneOffset: 0, moduleLoader: { load: () => 'export default 1' },"
  },
  {
    id: 'SANDBOX-5',
    what: 'errors of the engine come back as they are',
    file: 'src/sandbox/script-worker.ts',
    find: '} catch {',
    replace:
      "} catch (error) {\n    if (!interrupted) return { end: 'error', text: String((error as Error).stack) + ' file:' }"
  },
  {
    id: 'SANDBOX-5',
    what: 'input is evaluated',
    file: 'src/sandbox/script-guest.ts',
    find: 'given = parse(input)',
    replace: "given = (0, eval)('(' + input + ')')"
  },
  {
    id: 'TRACK-1',
    what: 'a module that failed writes its files',
    file: 'src/sandbox/wasm-answer.ts',
    find: 'if (!isGood) return { outcome, files: [] }',
    replace: ''
  },
  {
    id: 'TOOL-1',
    what: 'code is not compared before a run',
    file: 'src/tools/tool-files.ts',
    find: 'if (codeHashOf(bytes) !== code.codeHash)',
    replace: 'if (bytes.length === 0)'
  },
  {
    id: 'TOOL-1',
    what: 'a tool is offered before its event is durable',
    file: 'src/tools/tool-registry.ts',
    find: 'this.#files.writeCode(entry, code)',
    replace: 'this.#files.writeCode(entry, code)\n    this.#offer(entry)'
  },
  {
    id: 'TOOL-1',
    what: 'any permission may be declared',
    file: 'src/tools/tool-registry.ts',
    find: '!allowed.includes(permission)',
    replace: 'allowed.length > 9 && permission'
  },
  {
    id: 'TOOL-2',
    what: 'names are cut nowhere',
    file: 'src/tools/tool-files.ts',
    find: 'export const TOOL_NAME = /^[a-z][a-z0-9_]{0,99}$/',
    replace: 'export const TOOL_NAME = /^[a-z][a-z0-9_]*$/'
  },
  {
    id: 'TOOL-2',
    what: 'reserved names are taken',
    file: 'src/tools/tool-registry.ts',
    find: 'if (this.#reserved.has(name))',
    replace: 'if (this.#reserved.size === 0)'
  },
  {
    id: 'TOOL-2',
    what: 'a tool is replaced without a word',
    file: 'src/tools/tool-registry.ts',
    find: 'before !== undefined && !asked.replace',
    replace: 'before === undefined && asked.replace'
  },
  {
    id: 'TOOL-3',
    what: 'arguments are not checked before the code runs',
    file: 'src/tools/tool-registry.ts',
    find: "if (!verdict.ok) return failedOutcome('refused', 'TOOL_INPUT_INVALID', faultOf(verdict))",
    replace: ''
  },
  {
    id: 'TOOL-3',
    what: 'input of any size is handed on',
    file: 'src/sandbox/wasm-sandbox.ts',
    find: 'call.input.length > LIMITS.toolInputBytesMax',
    replace: 'call.input.length > 2 ** 30'
  }
]
