// The port to the key-value store. Keys and values are bytes; keys sort lexicographically. One writer, many readers.

export interface PutOperation {
  readonly type: 'put'
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface DeleteOperation {
  readonly type: 'del'
  readonly key: Uint8Array
}

export type StoreOperation = PutOperation | DeleteOperation

export interface KeyRange {
  /** Inclusive. */
  readonly from: Uint8Array
  /** Exclusive. */
  readonly to: Uint8Array
  readonly reverse?: boolean
  /** Entries at most. */
  readonly limit?: number
}

export type StoreEntry = readonly [key: Uint8Array, value: Uint8Array]

export interface EventStore {
  /** The value's bytes are the caller's to keep. STORE_DAMAGED when the block's checksum does not hold. */
  get(key: Uint8Array): Promise<Uint8Array | null>
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | null)[]>
  /** Entries in key order, read ahead in pages; sees a snapshot as of the call. */
  entries(range: KeyRange): AsyncIterable<StoreEntry>
  /** The same in arrays of up to `pageBytes` of values: for long scans. */
  pages(range: KeyRange, pageBytes: number): AsyncIterable<readonly StoreEntry[]>
  /** All or nothing. `sync`: on the disk when it resolves. STORE_FULL when the disk is full, STORE_FAILED otherwise; after either the store must be reopened. */
  write(operations: readonly StoreOperation[], options: { readonly sync: boolean }): Promise<void>
  /** Removes deleted bytes in the range from the disk. */
  compact(range: KeyRange): Promise<void>
  /** Bytes on disk of the range, roughly. */
  approximateBytes(range: KeyRange): Promise<number>
  /** Closes and opens again, after a failed write. */
  reopen(): Promise<void>
  close(): Promise<void>
  /** Gives up what cannot be read, so that the rest can: for a store with damaged blocks. Open again when it resolves. */
  salvage?(): Promise<void>
}
