// What lies in a store's folder before LevelDB sees it: LevelDB would make a new, empty store over a damaged one and delete its files.

import { lstatSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MeshError } from '../base/mesh-error.ts'

const OWN_NAMES = [/^CURRENT$/, /^LOCK$/, /^LOG(\.old|\.probe)?$/, /^MANIFEST-\d+$/, /^\d+\.(ldb|sst|log|dbtmp)$/]
const DATA_NAME = /^\d+\.(ldb|sst|log)$/
const CURRENT_TEXT = /^(MANIFEST-\d+)\n$/

/** `new` when a store may be created there (the folder then exists, 0700), `store` when there is one. STORE_FOREIGN, STORE_DAMAGED, STORE_FAILED. */
export function inspectStoreFolder(folder: string): 'new' | 'store' {
  const names = listNames(folder)
  const foreign = names.find((name) => !OWN_NAMES.some((own) => own.test(name)))
  if (foreign !== undefined) {
    throw new MeshError('STORE_FOREIGN', `the store’s folder holds a file that is not the store’s: ${foreign}`, {
      details: { folder }
    })
  }
  if (names.includes('CURRENT')) {
    checkCurrent(folder, names)
    return 'store'
  }
  // A first start that died early leaves a manifest without CURRENT; tables or logs without CURRENT are a store that lost it.
  const data = names.find((name) => DATA_NAME.test(name))
  if (data !== undefined)
    throw new MeshError('STORE_DAMAGED', 'the store’s file CURRENT is missing', { details: { folder } })
  return 'new'
}

function listNames(folder: string): string[] {
  try {
    const stats = lstatSync(folder, { throwIfNoEntry: false })
    if (stats === undefined) {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      return []
    }
    if (!stats.isDirectory())
      throw new MeshError('STORE_FOREIGN', 'the store’s place is taken by something else', { details: { folder } })
    return readdirSync(folder)
  } catch (cause) {
    if (cause instanceof MeshError) throw cause
    throw new MeshError('STORE_FAILED', 'the store’s folder cannot be read', { details: { folder }, cause })
  }
}

function checkCurrent(folder: string, names: readonly string[]): void {
  const manifest = CURRENT_TEXT.exec(readFileSync(join(folder, 'CURRENT'), 'latin1'))?.[1]
  if (manifest === undefined)
    throw new MeshError('STORE_DAMAGED', 'the store’s file CURRENT is damaged', { details: { folder } })
  if (!names.includes(manifest)) {
    throw new MeshError('STORE_DAMAGED', `the store’s file ${manifest} is missing`, { details: { folder } })
  }
}
