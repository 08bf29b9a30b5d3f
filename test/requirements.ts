// The promises that are done: each is proved by at least one test whose name cites its id (test/house/requirements.test.ts).
// A promise that is not built, or not proved, is not listed.

export interface Requirement {
  /** AREA-NUMBER, cited by the names of the tests that prove it. */
  readonly id: string
  /** The promise in one sentence, as a user would check it. */
  readonly promise: string
}

export const REQUIREMENTS: readonly Requirement[] = []
