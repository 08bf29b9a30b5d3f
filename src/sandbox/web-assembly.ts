// The part of the WebAssembly API that this program uses: TypeScript declares it for browsers only.

export interface WasmModule {
  readonly [Symbol.toStringTag]: 'WebAssembly.Module'
}

export interface WasmInstance {
  readonly exports: Readonly<Record<string, unknown>>
}

interface WebAssemblyApi {
  compile(bytes: Uint8Array): Promise<WasmModule>
  instantiate(
    module: WasmModule,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  ): Promise<WasmInstance>
}

export const webAssembly = Reflect.get(globalThis, 'WebAssembly') as WebAssemblyApi
