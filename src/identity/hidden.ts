// Fields that no inspection, no JSON and no spread shows: a secret in a record leaves only by its name.

/** Turns the named fields of a fresh record into getters that enumeration skips. A spread copy lacks them. */
export function hideFields<Fields extends object>(record: Fields, names: readonly (keyof Fields)[]): Fields {
  for (const name of names) {
    const value = record[name]
    Object.defineProperty(record, name, { get: () => value, enumerable: false, configurable: false })
  }
  return record
}
