// WebAssembly modules for tests, written as text. Each is a WASI command that tells what it found by its exit code.

import wabt from 'wabt'

const SIGNATURES: Readonly<Record<string, string>> = {
  args_sizes_get: '(param i32 i32) (result i32)',
  environ_sizes_get: '(param i32 i32) (result i32)',
  fd_allocate: '(param i32 i64 i64) (result i32)',
  fd_fdstat_get: '(param i32 i32) (result i32)',
  fd_filestat_set_size: '(param i32 i64) (result i32)',
  fd_pwrite: '(param i32 i32 i32 i64 i32) (result i32)',
  fd_read: '(param i32 i32 i32 i32) (result i32)',
  fd_write: '(param i32 i32 i32 i32) (result i32)',
  path_open: '(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)',
  path_symlink: '(param i32 i32 i32 i32 i32) (result i32)',
  path_unlink_file: '(param i32 i32 i32) (result i32)',
  poll_oneoff: '(param i32 i32 i32 i32) (result i32)',
  proc_exit: '(param i32)',
  random_get: '(param i32 i32) (result i32)',
  sock_accept: '(param i32 i32 i32) (result i32)'
}

/** Bytes of a module written as text; every proposal that wabt knows is on, so that odd modules can be made at all. */
export async function moduleOf(text: string): Promise<Uint8Array> {
  const tools = await wabt()
  const parsed = tools.parseWat('test.wat', text, {
    memory64: true,
    threads: true,
    reference_types: true,
    bulk_memory: true
  })
  try {
    return Uint8Array.from(parsed.toBinary({}).buffer)
  } finally {
    parsed.destroy()
  }
}

/** A command of one function body. `$i`, `$j`: i32 locals. Data lies at 1024. */
export async function command(
  uses: readonly string[],
  body: string,
  options: { readonly memory?: string; readonly data?: string; readonly rest?: string } = {}
): Promise<Uint8Array> {
  const imports = uses.map(
    (name) => `(import "wasi_snapshot_preview1" "${name}" (func $${name} ${SIGNATURES[name] ?? ''}))`
  )
  return await moduleOf(`(module ${imports.join('\n')}
    (memory (export "memory") ${options.memory ?? '1'})
    (data (i32.const 1024) "${options.data ?? ''}")
    ${options.rest ?? ''}
    (func (export "_start") (local $i i32) (local $j i32) ${body}))`)
}

/** Opens `path` below descriptor 3, with `flags` (1 creates), and exits with the error. */
export function opening(path: string, flags = 0): Promise<Uint8Array> {
  return command(['path_open', 'proc_exit'], `(call $proc_exit ${open(path, flags)})`, { data: path })
}

/** The expression that opens what lies at 1024; the descriptor goes to 0. */
export function open(path: string, flags: number): string {
  return `(call $path_open (i32.const 3) (i32.const 0) (i32.const 1024) (i32.const ${Buffer.byteLength(path)})
    (i32.const ${flags}) (i64.const 0x1fffffff) (i64.const 0) (i32.const 0) (i32.const 0))`
}

/** Writes the vector { pointer, length } at 16. */
export function vector(pointer: number, length: number): string {
  return `(i32.store (i32.const 16) (i32.const ${pointer})) (i32.store (i32.const 20) (i32.const ${length}))`
}
