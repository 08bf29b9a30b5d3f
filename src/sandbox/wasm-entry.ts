// First file of the process of a WASM module. The library's file comes as an argument, resolved by the host: looking it up here would need to read
// folders that this process may not read, such as a linked node_modules.

import { registerHooks } from 'node:module'

const library = process.argv[2]!

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === '@bjorn3/browser_wasi_shim'
      ? { url: library, format: 'module', shortCircuit: true }
      : next(specifier, context)
})
await import('./wasm-process.ts')
