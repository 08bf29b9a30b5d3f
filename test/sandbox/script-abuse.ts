// Ways out of, and ways to hang or fill, an interpreter for JavaScript: one entry per case. `gives` is what a contained script answers;
// without it the script must be stopped or fail.

import type { ToolStatus } from '../../src/pipeline/contract.ts'

export interface AbuseCase {
  readonly id: string
  readonly what: string
  readonly source: string
  readonly gives?: string
  /** Any of these ends is containment. */
  readonly ends?: readonly ToolStatus[]
}

/** What of the host a guest can name; [] inside. */
const REACH = `['process', 'require', 'module', 'fetch', 'setTimeout', 'Buffer', 'WebAssembly', 'Worker', 'navigator', 'Deno', 'std', 'os',
  'parentPort', 'workerData', '__dirname', 'global', 'self', 'window', 'XMLHttpRequest', 'WebSocket', 'print', 'scriptArgs', 'gc']
  .filter((name) => typeof globalThis[name] !== 'undefined')`
const VIA = (reached: string) => `(${reached})('return typeof process + typeof require + typeof globalThis.process')()`
const NOTHING = '"undefinedundefinedundefined"'

export const ABUSE_CASES: readonly AbuseCase[] = [
  { id: 'B1', what: 'the Function constructor', source: VIA('Function'), gives: NOTHING },
  {
    id: 'B2',
    what: 'the constructor of the only given functions',
    source: VIA('console.log.constructor'),
    gives: NOTHING
  },
  {
    id: 'B3',
    what: 'the constructor chain of the given input',
    source: VIA('input.constructor.constructor'),
    gives: NOTHING
  },
  {
    id: 'B4',
    what: 'the constructor chain of an engine error',
    source: `let e; try { null.x } catch (error) { e = error } ${VIA('e.constructor.constructor')}`,
    gives: NOTHING
  },
  {
    id: 'B5',
    what: 'paths of the host in the stacks of errors',
    source: `const seen = []; for (const act of [() => null.x, () => JSON.parse('{'), () => new RegExp('('), () => 'x'.repeat(-1),
      () => (function f() { f() })(), () => decodeURI('%'), () => new Array(-1), () => eval('(')])
      try { act() } catch (error) { seen.push(String(error) + error.stack) }
      for (const name of ['node:fs', '/etc/passwd', './x']) try { await import(name) } catch (error) { seen.push(String(error) + error.stack) }
      seen.length + ' ' + seen.some((text) => /file:|node_modules|src.sandbox|\\.wasm|\\.ts\\b|wasm-function/.test(text))`,
    gives: '"11 false"'
  },
  {
    id: 'B6',
    what: 'call sites through Error.prepareStackTrace',
    source: `let sites = []; Error.prepareStackTrace = (error, given) => { sites = given; return '' }
      try { null.x } catch (error) { void error.stack }
      sites.map((site) => [typeof site.getThis?.(), typeof site.getFunction?.()]).flat().filter((kind) => kind === 'object').length`,
    gives: '0'
  },
  { id: 'B7', what: 'ambient globals', source: REACH, gives: '[]' },
  { id: 'B8', what: 'import of a module of the host', source: "await import('node:fs')" },
  {
    id: 'B9',
    what: 'the std and os modules of the engine',
    source: `const got = []; for (const name of ['std', 'os', 'qjs:std', 'qjs:os', 'bjson', 'qjs:bjson'])
      try { await import(name); got.push(name) } catch {} got`,
    gives: '[]'
  },
  {
    id: 'B10',
    what: 'prototypes made dirty for the host',
    source: `Object.prototype.end = 'ok'; Object.prototype.text = 'x'; Object.prototype.then = undefined; Array.prototype.push = null; 'dirty'`,
    gives: '"dirty"'
  },
  {
    id: 'B11',
    what: 'a result with a __proto__ key',
    source: `JSON.parse('{"__proto__":{"x":1}}')`,
    gives: '{"__proto__":{"x":1}}'
  },
  { id: 'B12', what: 'a result with a looping getter', source: '({ get x() { for (;;); } })', ends: ['timeout'] },
  {
    id: 'B13',
    what: 'a result with a looping toJSON',
    source: '({ toJSON() { for (;;); }, toString() { for (;;); } })',
    ends: ['timeout']
  },
  {
    id: 'B14',
    what: 'a result that is a Proxy with looping traps',
    source:
      'const loop = () => { for (;;); }; new Proxy({}, { get: loop, ownKeys: loop, has: loop, getPrototypeOf: loop })',
    ends: ['timeout']
  },
  {
    id: 'B15',
    what: 'a result nested 200 000 deep',
    source: 'let a = []; for (let i = 0; i < 200000; i++) a = [a]; a'
  },
  { id: 'B16', what: 'a result of 200 000 objects', source: 'Array.from({ length: 200000 }, (_, n) => ({ n }))' },
  { id: 'B17', what: 'for (;;)', source: 'for (;;);', ends: ['timeout'] },
  {
    id: 'B18',
    what: 'endless microtasks',
    source: 'const again = () => Promise.resolve().then(again); await again()',
    ends: ['timeout', 'memory', 'error']
  },
  { id: 'B19', what: 'an endless async loop', source: 'for (;;) await 0', ends: ['timeout'] },
  { id: 'B20', what: 'a catastrophic regular expression', source: "/^(a+)+$/.test('a'.repeat(40) + 'b')" },
  {
    id: 'B21',
    what: 'a hostile sort comparator',
    source: 'const a = new Array(3e6).fill(0).map((_, n) => n); a.sort(() => 0.5 - Math.random()); a.length'
  },
  { id: 'B22', what: 'join of a huge array', source: "new Array(67e6).join('xx').length" },
  { id: 'B23', what: 'fill of a huge array', source: 'new Array(1e8).fill(1).length' },
  {
    id: 'B24',
    what: 'a long native indexOf',
    source: "const x = 'a'.repeat(2 ** 23); for (;;) x.indexOf('a'.repeat(2 ** 20) + 'b')",
    ends: ['timeout']
  },
  { id: 'B25', what: 'a huge power of a BigInt', source: '(3n ** 50000000n > 0n) + (7n ** 90000000n)' },
  { id: 'B26', what: 'string doubling', source: "let s = 'x'; for (;;) s += s" },
  {
    id: 'B27',
    what: '1 GiB of strings',
    source: "const a = []; for (let i = 0; i < 1024; i++) a.push('x'.repeat(1 << 20) + i); a.length"
  },
  { id: 'B28', what: 'array growth', source: 'const a = []; for (;;) a.push(a.length)' },
  {
    id: 'B29',
    what: '200 ArrayBuffers of 64 MiB',
    source: 'Array.from({ length: 200 }, () => new ArrayBuffer(64 << 20)).length'
  },
  {
    id: 'B30',
    what: '200 SharedArrayBuffers of 64 MiB',
    source: 'Array.from({ length: 200 }, () => new SharedArrayBuffer(64 << 20)).length'
  },
  {
    id: 'B31',
    what: 'WebAssembly memories from inside',
    source: 'Array.from({ length: 100 }, () => new WebAssembly.Memory({ initial: 1024 })).length'
  },
  { id: 'B32', what: 'deep recursion', source: 'const f = (n) => f(n + 1) + 1; f(0)' },
  { id: 'B33', what: 'JSON nested 500 000 deep', source: "JSON.parse('['.repeat(500000) + ']'.repeat(500000)).length" },
  { id: 'B34', what: 'source nested 200 000 deep', source: `${'('.repeat(200_000)}1${')'.repeat(200_000)}` },
  {
    id: 'B35',
    what: 'a regular expression nested 100 000 deep',
    source: "new RegExp('('.repeat(100000) + ')'.repeat(100000)).test('x')"
  },
  {
    id: 'B36',
    what: 'String() of a nested array',
    source: 'let a = []; for (let i = 0; i < 200000; i++) a = [a]; String(a)'
  },
  {
    id: 'B37',
    what: 'recursion that doubles in finally',
    source: 'const f = () => { try { f() } finally { f() } }; f()'
  },
  {
    id: 'B38',
    what: 'catching the interrupt',
    source: 'for (;;) { try { for (;;); } catch {} finally { continue } }',
    ends: ['timeout']
  },
  {
    id: 'B39',
    what: 'Atomics.wait',
    source: 'Atomics.wait(new Int32Array(new SharedArrayBuffer(8)), 0, 0, 1e6)'
  },
  {
    id: 'B40',
    what: 'ten million generators',
    source: 'let n = 0; while (n < 1e7) { (function* () { yield 1 })().next(); n++ } for (;;);'
  },
  {
    id: 'B41',
    what: 'a million chained errors',
    source: 'let e = null; for (let i = 0; i < 1e6; i++) e = new Error("x", { cause: e }); throw e'
  },
  { id: 'B42', what: 'an endless Map', source: 'const m = new Map(); for (let i = 0; ; i++) m.set(i, {})' },
  { id: 'B43', what: '50 MB of source', source: `0;${' '.repeat(50_000_000)}`, ends: ['refused'] }
]
