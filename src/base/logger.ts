// The logger port. Fields are short facts: ids, counts, codes. Never payloads, keys or credentials.

export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>

export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

const ignore = (): void => undefined

/** Keeps nothing: for tests and for parts that run before there is a log. */
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
